/** Draws what the console says; a value past its age is drawn as unknown, never as the last one. */

import {
  ANSWERS, CAP_REASONS, CHAIN, CONNECTING_MODE, GEARS, MODES, PATHS, REQUESTS, UNKNOWN_MODE,
} from "/ui/text.js";

export const UNKNOWN = "—";
const EVENTS_SHOWN = 12;
/** Sectors drawn as unknown before the machine has told how many it has. */
const SECTORS_UNKNOWN = 8;
const SPARK_SECONDS = 30;
const SPARK_FULL_MS = 600;
/** Picture age bands, ms: above each the next look (cockpit section 5). */
const BANDS = /** @type {const} */ ([[600, "alarm"], [400, "warning"], [250, "caution"]]);

/** An age that may be further wrong than this is shown with how far, ms. */
const AGE_WITHIN_MS = 30;

/** Modes in which the speed cap says something, and those in which the machine is driven. */
const CAPPED = new Set(["ARMED", "ACTIVE", "DEGRADED"]);
const DRIVEN = new Set(["ACTIVE", "DEGRADED"]);

/** @typedef {Record<string, any>} Json */

/** What the page knows itself.
 * @typedef {object} PageFacts
 * @property {"connecting" | "up" | "down"} line to the console
 * @property {boolean} drives this page, not another
 * @property {boolean} notSent STOP was pressed and the line did not take it
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
  const side = how.centre && known && Math.abs(share) >= 0.005 ? (share > 0 ? "L " : "R ") : "";
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
    this.controls(vehicle, inner, known);
    this.chain(vehicle, inner, known);
    this.words(inner);
    this.step(inner, page);
    this.stop(inner.stop ?? {}, known, page);
    this.countdown(vehicle.warning_ms);
    this.sectors(known ? vehicle.proximity_m : null);
  }

  /**
   * @param {string | null} mode
   * @param {Json} inner
   * @param {PageFacts} page
   */
  mode(mode, inner, page) {
    const words = modeWords(mode, inner, page);
    say("mode-en", words.en);
    say("mode-zh", words.zh);
    look("mode", words.look);
    look("border", words.look);
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
    const within = inner.picture_age_within_ms;
    say("picture-age-within", within > AGE_WITHIN_MS ? `±${figure(within, 0)}` : "");
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
      lamp("lamp-paths", "caution", `${out.join(", ")} out`);
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
    say("cap-reason", reason ? `· ${CAP_REASONS[reason]?.[0] ?? reason}` : "");
    say("cap-reason-zh", CAP_REASONS[reason]?.[1] ?? "");
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
    say("gear-note", `asked ${typeof asked === "number" ? GEARS[asked] : UNKNOWN}`);
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

  /**
   * @param {Json} vehicle
   * @param {Json} inner
   * @param {boolean} known
   */
  controls(vehicle, inner, known) {
    const input = inner.input ?? {};
    bar("throttle", input.throttle ?? null);
    bar("brake", input.brake ?? null);
    const decel = vehicle.brake_measured_mps2;
    bar("decel", typeof decel === "number" ? decel / 3 : null);
    const text = /** @type {HTMLElement} */ (element("decel").querySelector("output"));
    text.textContent = figure(decel, 1);
    const park = vehicle.park_applied;
    lamp("lamp-park", park === true ? "on" : park === false ? "off" : "unknown",
      park === true ? "applied" : park === false ? "released" : UNKNOWN);
    // The machine does not report these three: what is shown is what is asked.
    const live = Boolean(known && input.ok);
    const acts = DRIVEN.has(vehicle.mode);
    asked("lamp-lights", live, acts, input.lights, "on", "off");
    asked("lamp-horn", live, acts, input.horn, "on", "off");
    const body = input.implement ?? 0;
    asked("lamp-body", live, acts, body !== 0, body > 0 ? "up" : "down", "hold");
  }

  /**
   * @param {Json} vehicle
   * @param {Json} inner
   * @param {boolean} known
   */
  chain(vehicle, inner, known) {
    const input = inner.input ?? {};
    row("chain-estop", ...(CHAIN[vehicle.estop] ?? CHAIN.unknown));
    const relayAtRest = vehicle.relay === "open" && !["ACTIVE", "DEGRADED"].includes(vehicle.mode);
    row("chain-relay", ...(relayAtRest ? CHAIN.rest : (CHAIN[vehicle.relay] ?? CHAIN.unknown)));
    const barred = input.held && input.must_release;
    row("chain-enable",
      input.enable_sent ? "HELD" : barred ? "LET GO FIRST" : "open",
      input.enable_sent ? "active" : barred ? "caution" : "quiet");
    row("chain-input",
      inner.desk?.fault ? "FAULT" : input.ok ? "live" : inner.input_barred ? "no device" : "NONE",
      input.ok && !inner.desk?.fault ? "quiet" : "caution");
    const gaps = inner.input_gaps ?? 0;
    element("chain-input").title = gaps
      ? `${gaps} input gaps over 40 ms, the longest ${figure(inner.input_gap_longest_ms, 0)} ms`
      : "No input gap over 40 ms";
    const holder = inner.holder;
    row("chain-holder",
      !known ? "UNKNOWN" : inner.lease ? "this console" : (holder ?? "nobody"),
      !known ? "unknown" : inner.lease || !holder ? "quiet" : "caution");
  }

  /** @param {Json} inner */
  words(inner) {
    const message = inner.message;
    element("message").dataset.level = message?.level ?? "none";
    say("message-code", message?.code ?? "");
    say("message-en", message?.en ?? "");
    say("message-zh", message?.zh ?? "");
    const why = inner.why;
    say("message-why", why ? `${why.code}  ${why.en}` : "");
    this.answer(inner.answer);
    say("blockers", (rungs(inner) ?? /** @type {Json[]} */ (inner.blockers ?? []))
      .map((one) => `${one.done ? "✓" : one.code}  ${one.en}`).join("\n"));
  }

  /** @param {Json | null | undefined} answer */
  answer(answer) {
    const asked = answer && (REQUESTS[answer.kind] ?? answer.kind);
    const why = answer && (answer.words?.en ?? ANSWERS[answer.reason] ?? answer.reason);
    const refused = answer?.outcome === "refused";
    const queued = answer?.outcome === "queued";
    const waits = queued && (answer.kind === "take_over"
      ? `${asked}: the machine stops first`
      : `Asked – ${answer.holder ?? "the machine"} decides`);
    const done = answer?.outcome === "granted" ? "granted" : "done";
    say("answer", !answer ? "" : waits || `${asked}: ${refused ? why : done}`);
    look("answer", !answer ? "none" : refused ? "caution" : "good");
  }

  /**
   * @param {Json} inner
   * @param {PageFacts} page
   */
  step(inner, page) {
    const step = page.drives ? inner.step : null;
    const may = page.drives && page.line === "up" ? (inner.may ?? []) : [];
    say("step-en", step?.en ?? UNKNOWN);
    say("step-zh", step?.zh ?? "");
    const action = step?.action ?? "";
    for (const button of document.querySelectorAll("#step-card button")) {
      if (!(button instanceof HTMLButtonElement)) continue;
      const name = button.dataset.do ?? button.dataset.hold ?? "";
      button.classList.toggle("next", name === action);
      button.disabled = !may.includes(name);
      if (name === "offer") {
        button.hidden = !inner.lease || !inner.waiting;
        button.textContent = inner.waiting ? `Hand over to ${inner.waiting}` : "Hand over";
      }
      if (name === "take_over") button.hidden = !inner.may_take_over || Boolean(inner.lease);
    }
  }

  /**
   * @param {Json} stop
   * @param {boolean} known
   * @param {PageFacts} page
   */
  stop(stop, known, page) {
    if (page.line !== "up") {
      look("stop", page.notSent ? "unconfirmed" : "no-line");
      say("stop-note", page.notSent
        ? "NOT SENT – use the hard-wired E-stop"
        : "no line to the console");
      return;
    }
    if (page.notSent && !stop.pending && !stop.confirmed) {
      look("stop", "unconfirmed");
      say("stop-note", "NOT SENT – press again");
      return;
    }
    look("stop", stop.unconfirmed ? "unconfirmed" : stop.pending ? "pending" : stop.confirmed ? "confirmed" : "ready");
    say("stop-note", stop.unconfirmed
      ? "NOT CONFIRMED – hard-wired E-stop"
      : stop.pending
        ? "sent – waiting for the machine"
        : stop.confirmed && known
          ? "confirmed by the machine"
          : "controlled stop · Space");
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
      look(/** @type {HTMLElement} */ (group.children[index]), near);
    });
    say("plan-note", shown.length === 0 ? "no sensors" : "");
  }

  /** The console tells its newest events anew on each new line. */
  forgetEvents() {
    element("events").replaceChildren();
  }

  /**
   * @param {Json} event
   * @param {Date} at
   */
  event(event, at) {
    const list = element("events");
    const same = [...list.children].find((line) => /** @type {HTMLElement} */ (line).dataset.id === event.id);
    const line = same instanceof HTMLElement ? same : newLine(event);
    const count = Number(line.dataset.count ?? 0) + 1;
    line.dataset.count = String(count);
    const clock = /** @type {HTMLElement} */ (line.querySelector("time"));
    const times = /** @type {HTMLElement} */ (line.querySelector("em"));
    clock.textContent = at.toTimeString().slice(0, 8);
    times.textContent = count > 1 ? `×${count}` : "";
    list.prepend(line);
    while (list.childElementCount > EVENTS_SHOWN) list.lastElementChild?.remove();
  }
}

/** Whose mode it is matters: control that another console holds is not taken here.
 * @param {string | null} mode
 * @param {Json} inner
 * @param {PageFacts} page
 */
function modeWords(mode, inner, page) {
  if (page.line === "connecting") return CONNECTING_MODE;
  const words = mode === null ? undefined : MODES[mode];
  if (!words) return UNKNOWN_MODE;
  if (mode !== "LEASED" || inner.lease) return words;
  const holder = inner.holder ?? "ANOTHER";
  return { en: `HELD BY ${holder}`, zh: `${holder} 控制`, look: words.look };
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
    !live ? UNKNOWN : on ? `${wish} · asked` : rest);
  element(id).classList.toggle("dim", !acts);
}

/** One line of the event list; an event that comes again moves up and is counted.
 * @param {Json} event
 */
function newLine(event) {
  const line = document.createElement("li");
  line.dataset.level = event.severity;
  line.dataset.id = event.id;
  const code = document.createElement("b");
  code.textContent = event.id;
  const words = document.createElement("span");
  words.textContent = event.en;
  const chinese = document.createElement("span");
  chinese.className = "zh";
  chinese.lang = "zh";
  chinese.textContent = event.zh;
  line.append(document.createElement("time"), code, document.createElement("em"), words, chinese);
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
