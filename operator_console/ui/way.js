/** The plan view: the machine to scale, its way by the steering, and where it would stand. */

import {
  LONGEST_M, SHORTEST_M, STANDS_MPS, areFacts, beside, leadingEndM, stopDistanceM, wayOf,
} from "/ui/path.js";
import { t } from "/ui/text.js";

/** An older steering draws no way while the machine speaks 50 times a second (cockpit section 7). */
const STEER_MAX_MS = 300;
const DRIVEN_MAX_MS = 500;
/** Free way that a driver wants at each side, m. */
const BESIDE_M = 1;
const TICKS_M = [5, 10, 20];
/** What the plan shows, m: to each side, ahead of the reference axle and behind it. */
const SIDE_M = 7.5;
const AHEAD_M = 23;
const BEHIND_M = 10;

/** @typedef {Record<string, any>} Json */
/** @typedef {import("/ui/path.js").Point} Point */
/** @typedef {[string, Record<string, string | number>]} Shape name and attributes */

export class Way {
  /**
   * @param {Element} drawing
   * @param {HTMLElement} note
   */
  constructor(drawing, note) {
    this.drawing = drawing;
    this.note = note;
    /** @type {unknown} */
    this.facts = null;
    this.drawn = "";
  }

  /** Draw what follows from the newest state.
   * @param {Json} vehicle empty when it is not known
   * @param {unknown} stateAgeMs
   * @param {number} maxAgeMs at which the state is unknown; longer for a machine at rest
   */
  draw(vehicle, stateAgeMs, maxAgeMs) {
    const facts = this.facts;
    if (!areFacts(facts)) return this.say(t("way.none"));
    const limitMs = maxAgeMs <= DRIVEN_MAX_MS ? STEER_MAX_MS : maxAgeMs;
    const why = missing(vehicle, stateAgeMs, limitMs);
    if (why) return this.say(t(why));
    const way = vehicle.gear < 0 ? -1 : 1;
    const now = {
      speedMps: vehicle.speed_mps, way,
      steerMeasured: vehicle.steer_measured,
      steerCommanded: vehicle.steer_commanded ?? vehicle.steer_measured,
      grade: vehicle.grade ?? 0,
      delayS: (vehicle.loop_ms ?? 0) / 1000,
    };
    const stopM = stopDistanceM(now, facts.limits);
    const endM = leadingEndM(facts.machine, way);
    const shownM = Math.min(LONGEST_M, Math.max(SHORTEST_M, stopM ?? LONGEST_M));
    const points = wayOf(now, facts.limits, endM + shownM);
    const half = facts.machine.width_m / 2;
    const turn = way < 0 ? BEHIND_M - AHEAD_M : 0;
    this.show([
      line(beside(points, half + BESIDE_M), "edge"), line(beside(points, -half - BESIDE_M), "edge"),
      line(beside(points, half), "track"), line(beside(points, -half), "track"),
      ...TICKS_M.filter((each) => each <= shownM).flatMap((each) => tick(points, endM + each, half)),
      ...hull(facts.machine, vehicle.articulation_rad),
      ...stopLine(points, stopM, endM, half, blocked(vehicle, way, stopM)),
    ], turn);
    const words = stopM === null ? "—" : stopM.toFixed(stopM < 10 ? 1 : 0);
    this.note.textContent = stopM === 0 ? "" : t("way.stop", { m: words });
  }

  /** @param {string} why nothing is drawn */
  say(why) {
    this.show([], 0);
    this.note.textContent = why;
  }

  /**
   * @param {Shape[]} shapes
   * @param {number} turn how far the view moves back, m
   */
  show(shapes, turn) {
    const box = `${-SIDE_M} ${-AHEAD_M - turn} ${2 * SIDE_M} ${AHEAD_M + BEHIND_M}`;
    const all = box + JSON.stringify(shapes);
    if (all === this.drawn) return;
    this.drawn = all;
    this.drawing.setAttribute("viewBox", box);
    this.drawing.replaceChildren(...shapes.map(element));
  }
}

/**
 * @param {Json} vehicle
 * @param {unknown} ageMs
 * @param {number} limitMs
 */
function missing(vehicle, ageMs, limitMs) {
  if (typeof ageMs !== "number" || ageMs > limitMs || typeof vehicle.speed_mps !== "number") {
    return "way.old";
  }
  if (typeof vehicle.gear !== "number") return "way.gear";
  if (typeof vehicle.steer_measured !== "number") return "way.steer";
  // One that stands stops at once, whatever its delay and grade.
  if (Math.abs(vehicle.speed_mps) < STANDS_MPS) return null;
  return [vehicle.loop_ms, vehicle.grade].every(Number.isFinite) ? null : "way.delay";
}

/** Something is nearer than the machine would stop, in its direction of travel.
 * @param {Json} vehicle
 * @param {number} way
 * @param {number | null} stopM
 */
function blocked(vehicle, way, stopM) {
  const sectors = vehicle.proximity_m ?? [];
  const nearest = sectors[way < 0 ? Math.floor(sectors.length / 2) : 0];
  return stopM === null || (typeof nearest === "number" && nearest < stopM);
}

/** Ahead is up and left is left.
 * @param {Point} point
 */
function at(point) {
  return `${(-point.y).toFixed(2)},${(-point.x).toFixed(2)}`;
}

/** @param {Shape} shape */
function element([name, attributes]) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
  return made;
}

/**
 * @param {Point[]} points
 * @param {string} kind
 * @returns {Shape}
 */
function line(points, kind) {
  return ["polyline", { class: kind, points: points.map(at).join(" ") }];
}

/** The point of a way so many metres along it; ways have a point each half metre.
 * @param {Point[]} points
 * @param {number} alongM
 */
function pointAt(points, alongM) {
  return points[Math.min(points.length - 1, Math.round(alongM * 2))];
}

/**
 * @param {Point[]} points
 * @param {number} alongM
 * @param {number} half
 */
function tick(points, alongM, half) {
  const here = [pointAt(points, alongM)];
  return [
    line([...beside(here, half + BESIDE_M), ...beside(here, half)], "tick"),
    line([...beside(here, -half - BESIDE_M), ...beside(here, -half)], "tick"),
  ];
}

/**
 * @param {Point[]} points
 * @param {number | null} stopM
 * @param {number} endM
 * @param {number} half
 * @param {boolean} near
 */
function stopLine(points, stopM, endM, half, near) {
  if (!stopM || stopM > LONGEST_M) return [];
  const here = [pointAt(points, endM + stopM)];
  const ends = [...beside(here, half + BESIDE_M), ...beside(here, -half - BESIDE_M)];
  return [line(ends, near ? "stop-line near" : "stop-line")];
}

/** The machine from above. An articulated one's rear unit turns about the joint; where its angle
 * is not known it is not drawn.
 * @param {Json} machine
 * @param {unknown} angle rad
 */
function hull(machine, angle) {
  const wide = machine.width_m;
  const front = machine.front_overhang_m + (machine.wheelbase_m ?? 0);
  /** @returns {Shape} */
  const box = (/** @type {number} */ from, /** @type {number} */ length, turned = {}) =>
    ["rect", { x: -wide / 2, y: from, width: wide, height: length, rx: 0.3, ...turned }];
  if (machine.kind !== "articulated") return [box(-front, front + machine.rear_overhang_m)];
  const joint = machine.front_joint_m;
  const unit = [box(-front, front + joint - 0.3)];
  if (typeof angle !== "number") return unit;
  const degrees = ((angle * 180) / Math.PI).toFixed(1);
  const rear = machine.rear_joint_m + machine.rear_overhang_m - 0.3;
  return [...unit, box(joint + 0.3, rear, { transform: `rotate(${degrees} 0 ${joint})` })];
}
