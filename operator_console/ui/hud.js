/** Draws what the console says; a value past its age is drawn as unknown, never as the last one. */

import { CHAIN_LOOKS, GEARS, MODE_LOOKS, PATHS, language, named, said, t } from "/ui/text.js";

export const UNKNOWN = "—";
/** Sectors drawn as unknown before the machine has told how many it has. */
const SECTORS_UNKNOWN = 8;
const SPARK_SECONDS = 30;
const SPARK_FULL_MS = 600;
/** Picture age bands, ms: above each the next look (cockpit section 5). */
const BANDS = /** @type {const} */ ([[600, "alarm"], [400, "warning"], [250, "caution"]]);

/** An age that may be further wrong than this is shown with how far, ms. */
const AGE_WITHIN_MS = 30;

/** The brake's bar is full at this. */
const BRAKE_FULL_MPS2 = 3;

/** Modes in which the speed cap says something, and those in which the machine is driven. */
const CAPPED = new Set(["ARMED", "ACTIVE", "DEGRADED"]);
const DRIVEN = new Set(["ACTIVE", "DEGRADED"]);

/** @typedef {Record<string, any>} Json */

/** What the page knows itself.
 * @typedef {object} PageFacts
 * @property {"connecting" | "up" | "down"} line to the console
 * @property {boolean} drives this page, not another
 */

/**
 * @template {HTMLElement} [T=HTMLElement]
 * @param {string} id
 * @returns {T}
 */
export function element(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`no element ${id}`);
  return /** @type {T} */ (found);
}

/** Write only what changed: the layout stays quiet.
 * @param {string} id
 * @param {string} text
 */
export function say(id, text) {
  const target = element(id);
  if (target.textContent !== text) target.textContent = text;
}

/**
 * @param {string | HTMLElement} target
 * @param {string} look
 */
export function look(target, look) {
  const found = typeof target === "string" ? element(target) : target;
  if (found.dataset.look !== look) found.dataset.look = look;
}

/** A number as text, unknown as a dash.
 * @param {unknown} value
 * @param {number} digits
 * @param {number} [factor]
 */
export function figure(value, digits, factor = 1) {
  if (typeof value !== "number" || !Number.isFinite(value)) return UNKNOWN;
  const text = (value * factor).toFixed(digits);
  return /^-0(\.0*)?$/.test(text) ? text.slice(1) : text.replace("-", "−");
}

/** How far wrong an age may be, where that is much; else nothing.
 * @param {number | null} withinMs null where it is not known
 */
export function withinWords(withinMs) {
  return withinMs !== null && withinMs > AGE_WITHIN_MS ? `±${figure(withinMs, 0)}` : "";
}

/** @param {number | null | undefined} ageMs */
function band(ageMs) {
  if (typeof ageMs !== "number") return "unknown";
  return BANDS.find(([limit]) => ageMs > limit)?.[1] ?? "good";
}

/** A bar from its left end, or from its middle (+ to the left).
 * @param {string} id
 * @param {unknown} value
 * @param {{centre?: boolean, look?: string}} [how]
 */
function bar(id, value, how = {}) {
  const box = element(id);
  const fill = /** @type {HTMLElement} */ (box.querySelector("i"));
  const text = /** @type {HTMLElement} */ (box.querySelector("output"));
  const known = typeof value === "number" && Number.isFinite(value);
  box.classList.toggle("unknown", !known);
  const share = known ? Math.max(-1, Math.min(1, /** @type {number} */ (value))) : 0;
  if (how.centre) {
    fill.style.left = `${50 - Math.max(0, share) * 50}%`;
    fill.style.width = `${Math.abs(share) * 50}%`;
  } else {
    fill.style.width = `${Math.max(0, share) * 100}%`;
  }
  look(fill, how.look ?? "normal");
  const shown = known ? `${figure(Math.abs(share), 0, 100)}` : UNKNOWN;
  const aside = how.centre && known && Math.abs(share) >= 0.005;
  const side = !aside ? "" : share > 0 ? `${t("left")} ` : `${t("right")} `;
  if (text.textContent !== side + shown) text.textContent = side + shown;
}

/** The arming ladder of a desk, while it is what stands between now and driving.
 * @param {Json} inner
 * @returns {Json[] | null}
 */
function rungs(inner) {
  const steps = /** @type {Json[]} */ (inner.desk?.rungs ?? []);
  return inner.engagement === "leased" && steps.length ? steps : null;
}

export class Hud {
  constructor() {
    /** @type {Array<[number, number | null]>} */
    this.ages = [];
    this.spark = /** @type {HTMLCanvasElement} */ (element("picture-spark"));
    /** @type {number | null} */
    this.gapSinceMs = null;
    /** @type {number | null} */
    this.brakeGapSinceMs = null;
    this.alertsDrawn = "";
  }

  /**
   * @param {Json} data the newest state message, its ages grown by the time since it came
   * @param {number} nowMs
   * @param {PageFacts} page
   */
  draw(data, nowMs, page) {
    const inner = data.console ?? {};
    const known = data.vehicle && data.state_age_ms <= data.state_max_age_ms;
    const vehicle = known ? data.vehicle : {};
    element("hud").classList.toggle("stale", !known);
    this.mode(known ? vehicle.mode : null, inner, page);
    this.link(inner, known, nowMs);
    this.paths(inner, known);
    this.motion(vehicle, inner, nowMs);
    this.controls(vehicle, inner, known, nowMs);
    this.chain(vehicle, inner, known);
    this.words(inner);
    this.step(inner, page);
    this.countdown(vehicle.warning_ms);
    this.sectors(known ? vehicle.proximity_m : null);
  }

  /**
   * @param {string | null} mode
   * @param {Json} inner
   * @param {PageFacts} page
   */
  mode(mode, inner, page) {
    const shown = mode === null ? "unknown" : (MODE_LOOKS[mode] ?? "unknown");
    say("mode-words", modeWords(mode, inner, page));
    look("mode", shown);
    look("border", shown);
  }

  /**
   * @param {Json} inner
   * @param {boolean} known
   * @param {number} nowMs
   */
  link(inner, known, nowMs) {
    const age = inner.picture_age_ms;
    const least = inner.picture_age_is_least && typeof age === "number";
    say("picture-age", (least ? "≥" : "") + figure(age, 0));
    say("picture-age-within", withinWords(inner.picture_age_within_ms));
    look("chip-picture", band(age));
    say("control-rtt", known ? figure(inner.rtt_ms, 0) : UNKNOWN);
    look("chip-control", known ? band(inner.rtt_ms) : "unknown");
    const sending = inner.link_up && inner.lease;
    say("command-rate", sending ? figure(inner.command_rate_hz, 0) : UNKNOWN);
    look("chip-command", !inner.link_up ? "caution"
      : !inner.lease ? "unknown" : inner.command_rate_hz < 40 ? "warning" : "good");
    say("state-rate", figure(inner.state_rate_hz, 0));
    look("chip-state", known ? "good" : "alarm");
    this.sparkline(typeof age === "number" ? age : null, nowMs);
  }

  /** Which command path is out; else the share of the commands that each of them delivers.
   * @param {Json} inner
   * @param {boolean} known
   */
  paths(inner, known) {
    const paths = /** @type {Json[]} */ (inner.paths ?? []);
    const out = paths.filter((path) => path.out).map((path) => PATHS[path.name] ?? path.name);
    if (inner.words_up === false) out.push("STOP");
    if (out.length) {
      lamp("lamp-paths", "caution", t("lamp.out", { what: out.join(", ") }));
      return;
    }
    const shares = paths.map((path) => path.delivered_pct).filter((it) => typeof it === "number");
    const text = known && shares.length ? `${shares.join(" / ")} %` : UNKNOWN;
    lamp("lamp-paths", known ? "off" : "unknown", text);
  }

  /**
   * @param {number | null} age
   * @param {number} nowMs
   */
  sparkline(age, nowMs) {
    const last = this.ages.at(-1);
    if (last && nowMs - last[0] < 200) return;
    this.ages.push([nowMs, age]);
    while (this.ages[0][0] < nowMs - SPARK_SECONDS * 1000) this.ages.shift();
    const { width, height } = this.spark;
    const pen = this.spark.getContext("2d");
    if (!pen) return;
    pen.clearRect(0, 0, width, height);
    pen.strokeStyle = "#3A424B";
    pen.beginPath();
    const limit = height - (250 / SPARK_FULL_MS) * height;
    pen.moveTo(0, limit);
    pen.lineTo(width, limit);
    pen.stroke();
    pen.strokeStyle = "#C8CDD2";
    pen.lineWidth = 2;
    pen.beginPath();
    let drawing = false;
    for (const [at, value] of this.ages) {
      const x = width - ((nowMs - at) / (SPARK_SECONDS * 1000)) * width;
      if (value === null) {
        drawing = false;
        continue;
      }
      const y = height - 2 - Math.min(1, value / SPARK_FULL_MS) * (height - 4);
      if (drawing) pen.lineTo(x, y);
      else pen.moveTo(x, y);
      drawing = true;
    }
    pen.stroke();
  }

  /**
   * @param {Json} vehicle
   * @param {Json} inner
   * @param {number} nowMs
   */
  motion(vehicle, inner, nowMs) {
    const speed = vehicle.speed_mps;
    say("speed", figure(typeof speed === "number" ? Math.abs(speed) : null, 1, 3.6));
    const capped = CAPPED.has(vehicle.mode);
    const cap = capped ? vehicle.cap_mps : null;
    say("cap", figure(cap, 0, 3.6));
    const reason = capped ? vehicle.cap_reason : null;
    say("cap-reason", reason ? `· ${named("cap", reason)}` : "");
    const lowered = Boolean(reason) && !["machine", "zone", "reverse"].includes(reason);
    const over = typeof speed === "number" && typeof cap === "number" && Math.abs(speed) > cap + 0.3;
    look("cap-line", over ? "warning" : lowered ? "caution" : "good");
    bar("steer-commanded", vehicle.steer_commanded ?? null, { centre: true, look: "commanded" });
    const apart = this.steerApart(vehicle, nowMs);
    bar("steer-measured", vehicle.steer_measured ?? null, {
      centre: true,
      look: apart ? "caution" : "normal",
    });
    const angle = vehicle.articulation_rad;
    say("articulation", figure(angle, 0, 180 / Math.PI));
    say("grade", figure(vehicle.grade, 1, 100));
    const degrees = typeof angle === "number" ? (angle * 180) / Math.PI : 0;
    element("rear-unit").setAttribute("transform", `rotate(${degrees.toFixed(1)} 0 1)`);
    element("plan").classList.toggle("unknown", typeof angle !== "number");
    const gear = vehicle.gear;
    const shown = typeof gear === "number" ? (GEARS[gear] ?? "?") : "?";
    say("gear", shown);
    const asked = inner.input?.gear;
    say("gear-note", t("gear.asked", { gear: typeof asked === "number" ? GEARS[asked] : UNKNOWN }));
    look("cell-gear", typeof asked === "number" && asked !== gear ? "pending" : "good");
  }

  /** Commanded and measured steering differ by more than a tenth for half a second.
   * @param {Json} vehicle
   * @param {number} nowMs
   */
  steerApart(vehicle, nowMs) {
    const gap = Math.abs((vehicle.steer_commanded ?? NaN) - (vehicle.steer_measured ?? NaN));
    if (!(gap > 0.1)) {
      this.gapSinceMs = null;
      return false;
    }
    this.gapSinceMs ??= nowMs;
    return nowMs - this.gapSinceMs > 500;
  }

  /** The brakes give less or more than is asked of them, by a tenth and for half a second.
   * @param {Json} vehicle
   * @param {number} nowMs
   */
  brakeApart(vehicle, nowMs) {
    const asked = vehicle.brake_commanded_mps2 ?? NaN;
    const gap = Math.abs(asked - (vehicle.brake_measured_mps2 ?? NaN));
    if (!(gap > 0.1 * Math.max(asked, BRAKE_FULL_MPS2))) {
      this.brakeGapSinceMs = null;
      return false;
    }
    this.brakeGapSinceMs ??= nowMs;
    return nowMs - this.brakeGapSinceMs > 500;
  }

  /**
   * @param {Json} vehicle
   * @param {Json} inner
   * @param {boolean} known
   * @param {number} nowMs
   */
  controls(vehicle, inner, known, nowMs) {
    const input = inner.input ?? {};
    bar("throttle", input.throttle ?? null);
    bar("brake", input.brake ?? null);
    const decel = vehicle.brake_measured_mps2;
    const apart = this.brakeApart(vehicle, nowMs);
    bar("decel", typeof decel === "number" ? decel / BRAKE_FULL_MPS2 : null, { look: apart ? "caution" : "normal" });
    const text = /** @type {HTMLElement} */ (element("decel").querySelector("output"));
    text.textContent = figure(decel, 1);
    const park = vehicle.park_applied;
    lamp("lamp-park", park === true ? "on" : park === false ? "off" : "unknown",
      park === true ? t("is.applied") : park === false ? t("is.released") : UNKNOWN);
    // The machine does not report these three: what is shown is what is asked.
    const live = Boolean(known && input.ok);
    const acts = DRIVEN.has(vehicle.mode);
    asked("lamp-lights", live, acts, input.lights, t("is.on"), t("is.off"));
    asked("lamp-horn", live, acts, input.horn, t("is.on"), t("is.off"));
    const body = input.implement ?? 0;
    asked("lamp-body", live, acts, body !== 0, body > 0 ? t("is.up") : t("is.down"), t("is.hold"));
  }

  /**
   * @param {Json} vehicle
   * @param {Json} inner
   * @param {boolean} known
   */
  chain(vehicle, inner, known) {
    const input = inner.input ?? {};
    wired("chain-estop", vehicle.estop);
    const relayAtRest = vehicle.relay === "open" && !["ACTIVE", "DEGRADED"].includes(vehicle.mode);
    wired("chain-relay", relayAtRest ? "rest" : vehicle.relay);
    const barred = input.held && input.must_release;
    row("chain-enable",
      t(input.enable_sent ? "enable.held" : barred ? "enable.barred" : "enable.open"),
      input.enable_sent ? "active" : barred ? "caution" : "quiet");
    row("chain-input",
      t(inner.desk?.fault ? "input.fault" : input.ok ? "input.live"
        : inner.input_barred ? "input.no_device" : "input.none"),
      input.ok && !inner.desk?.fault ? "quiet" : "caution");
    const gaps = inner.input_gaps ?? 0;
    element("chain-input").title = gaps
      ? t("input.gaps", { n: gaps, ms: figure(inner.input_gap_longest_ms, 0) })
      : t("input.no_gaps");
    const holder = inner.holder;
    const told = known && (inner.lease || inner.holder_known);
    row("chain-holder",
      !told ? t("holder.unknown") : inner.lease ? t("holder.this") : (holder ?? t("holder.nobody")),
      !told ? "unknown" : inner.lease || !holder ? "quiet" : "caution");
  }

  /** @param {Json} inner */
  words(inner) {
    const message = inner.message;
    element("message").dataset.level = message?.level ?? "none";
    say("message-code", message?.code ?? "");
    say("message-words", said(message));
    const why = inner.why;
    say("message-why", why ? `${why.code}  ${said(why)}` : "");
    this.answer(inner.answer);
    say("blockers", (rungs(inner) ?? /** @type {Json[]} */ (inner.blockers ?? []))
      .map((one) => `${one.done ? "✓" : one.code}  ${said(/** @type {any} */ (one))}`).join("\n"));
  }

  /** @param {Json | null | undefined} answer */
  answer(answer) {
    look("answer", !answer ? "none" : answer.outcome === "refused" ? "caution" : "good");
    say("answer", answer ? answerWords(answer) : "");
  }

  /**
   * @param {Json} inner
   * @param {PageFacts} page
   */
  step(inner, page) {
    const step = page.drives ? inner.step : null;
    const may = page.drives && page.line === "up" ? (inner.may ?? []) : [];
    say("step-words", said(step) || UNKNOWN);
    const action = step?.action ?? "";
    for (const button of document.querySelectorAll("#step-card button")) {
      if (!(button instanceof HTMLButtonElement)) continue;
      const name = button.dataset.do ?? button.dataset.hold ?? "";
      button.classList.toggle("next", name === action);
      button.disabled = !may.includes(name);
      if (name === "offer") {
        button.hidden = !inner.lease || !inner.waiting;
        button.textContent = inner.waiting ? t("do.offer.to", { who: inner.waiting }) : t("do.offer");
      }
      if (name === "take_over") button.hidden = !inner.may_take_over || Boolean(inner.lease);
    }
  }

  /** @param {unknown} warningMs */
  countdown(warningMs) {
    const runs = typeof warningMs === "number" && warningMs > 0;
    element("countdown").classList.toggle("shown", runs);
    if (runs) say("countdown-s", figure(warningMs, 1, 0.001));
  }

  /** The ring stays when nothing is known of it: no ring would read as clear.
   * @param {Array<number | null> | null} metres by sector; empty is not fitted, null not known
   */
  sectors(metres) {
    const group = element("sectors");
    const shown = metres ?? Array(group.childElementCount || SECTORS_UNKNOWN).fill(null);
    if (group.childElementCount !== shown.length) {
      group.replaceChildren(...shown.map((_, index) => sector(index, shown.length)));
    }
    shown.forEach((distance, index) => {
      const near = distance === null ? "unknown" : distance < 3 ? "near" : distance < 8 ? "mid" : "far";
      const drawn = /** @type {HTMLElement} */ (group.children[index]);
      look(drawn, near);
      const mark = /** @type {SVGTextElement} */ (drawn.querySelector("text"));
      const metres = distance === null ? "?" : Math.round(distance).toFixed(0);
      if (mark.textContent !== metres) mark.textContent = metres;
    });
    say("plan-note", shown.length === 0 ? t("no_sensors") : "");
  }

  /** The alerts, those that nobody has acknowledged on top.
   * @param {import("/ui/alarms.js").Alert[]} alerts
   * @param {number} nowMs
   */
  alerts(alerts, nowMs) {
    const drawn = alerts.map((each) => [each.code, each.level, each.count, each.atMs, each.open]);
    const all = JSON.stringify([language(), drawn]);
    if (all === this.alertsDrawn) return;
    this.alertsDrawn = all;
    element("events").replaceChildren(...alerts.map((each) => newLine(each, nowMs)));
  }
}

/** Whose mode it is matters: control that another console holds is not taken here.
 * @param {string | null} mode
 * @param {Json} inner
 * @param {PageFacts} page
 */
function modeWords(mode, inner, page) {
  if (page.line === "connecting") return t("mode.connecting");
  if (mode === null || !(mode in MODE_LOOKS)) return t("mode.unknown");
  if (mode !== "LEASED" || inner.lease) return named("mode", mode);
  return t("mode.held", { who: inner.holder ?? t("mode.another") });
}

/** What became of a request, in words.
 * @param {Json} answer
 */
export function answerWords(answer) {
  const what = named("ask", answer.kind);
  if (answer.outcome === "queued") {
    return answer.kind === "take_over"
      ? t("answer.first_stops", { what })
      : t("answer.decides", { who: answer.holder ?? t("answer.machine") });
  }
  if (answer.outcome === "refused") {
    const why = said(answer.words) || named("reason", answer.reason);
    return t("answer.refused", { what, why });
  }
  return t(answer.outcome === "granted" ? "answer.granted" : "answer.done", { what });
}

/** A lamp of something that is only asked, not measured.
 * @param {string} id
 * @param {boolean} live a valid input is in force and the machine's state is known
 * @param {boolean} acts the machine is driven, so that what is asked is carried out
 * @param {boolean} on
 * @param {string} wish
 * @param {string} rest
 */
function asked(id, live, acts, on, wish, rest) {
  lamp(id, live && on ? "on" : live ? "off" : "unknown",
    !live ? UNKNOWN : on ? t("lamp.asked", { what: wish }) : rest);
  element(id).classList.toggle("dim", !acts);
}

/** One line of the alerts.
 * @param {import("/ui/alarms.js").Alert} alert
 * @param {number} nowMs
 */
function newLine(alert, nowMs) {
  const line = document.createElement("li");
  line.dataset.level = alert.level;
  line.dataset.id = alert.code;
  line.dataset.open = String(alert.open);
  const clock = document.createElement("time");
  clock.textContent = new Date(Date.now() - (nowMs - alert.atMs)).toTimeString().slice(0, 8);
  const code = document.createElement("b");
  code.textContent = alert.code;
  const times = document.createElement("em");
  times.textContent = alert.count > 1 ? `×${alert.count}` : "";
  const words = document.createElement("span");
  words.textContent = said(alert.words);
  line.append(clock, code, times, words);
  return line;
}

/**
 * @param {string} id
 * @param {string} state
 * @param {string} text
 */
function lamp(id, state, text) {
  look(id, state);
  const note = /** @type {HTMLElement} */ (element(id).querySelector("em"));
  if (note.textContent !== text) note.textContent = text;
}

/**
 * @param {string} id
 * @param {string} text
 * @param {string} state
 */
function row(id, text, state) {
  look(id, state);
  const cell = /** @type {HTMLElement} */ (element(id).querySelector("dd"));
  if (cell.textContent !== text) cell.textContent = text;
}

/** What the hard-wired chain reports.
 * @param {string} id
 * @param {unknown} state
 */
function wired(id, state) {
  const known = typeof state === "string" && state in CHAIN_LOOKS ? state : "unknown";
  row(id, named("chain.is", known), CHAIN_LOOKS[known]);
}

/** One proximity sector as a ring segment; the first is ahead, on clockwise.
 * @param {number} index
 * @param {number} count
 */
function sector(index, count) {
  const half = (Math.PI / count) * 0.88;
  const middle = (2 * Math.PI * index) / count - Math.PI / 2;
  const at = (/** @type {number} */ angle, /** @type {number} */ radius) =>
    [(radius * Math.cos(angle)).toFixed(1), (radius * Math.sin(angle)).toFixed(1)];
  const path = svg("path");
  path.setAttribute(
    "d", `M${at(middle - half, 60).join(" ")} A60 60 0 0 1 ${at(middle + half, 60).join(" ")}`,
  );
  const mark = svg("text");
  mark.textContent = "?";
  const [x, y] = at(middle, 50);
  mark.setAttribute("x", x);
  mark.setAttribute("y", y);
  const group = svg("g");
  group.append(path, mark);
  return group;
}

/** @param {string} name */
function svg(name) {
  return document.createElementNS("http://www.w3.org/2000/svg", name);
}
