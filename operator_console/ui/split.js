/** Where the time of a picture goes from capture to present, and how old what is shown has been. */

import { named, t } from "/ui/text.js";

const STAGES = /** @type {const} */ ([
  "capture", "encode", "network", "buffer", "decode", "display",
]);
const SAMPLE_MS = 10;
const KEPT_MS = 1000;
const NOTES_MAX = 64;

/** What the vehicle says of a picture: capture stamp, and when its encoding began and ended.
 * @typedef {{captureUs: number, begunUs: number, doneUs: number}} Made
 */

/** What the browser says of a presented picture, ms of the page's clock.
 * @typedef {object} Shown
 * @property {number | undefined} receivedMs
 * @property {number | undefined} decodingMs
 * @property {number} presentedMs
 * @property {number} displayMs
 */

export class SplitTimes {
  constructor() {
    /** @type {Map<number, Made>} */
    this.made = new Map();
    /** @type {Array<[number, number[]]>} */
    this.stages = [];
    /** @type {Array<[number, number]>} */
    this.ages = [];
    this.sampledMs = -Infinity;
    /** Of what is shown; null before anything is. @type {number | null} */
    this.captureUs = null;
  }

  /**
   * @param {number} frame
   * @param {Made} made
   */
  announce(frame, made) {
    this.made.set(frame, made);
    const oldest = this.made.keys().next().value;
    if (this.made.size > NOTES_MAX && oldest !== undefined) this.made.delete(oldest);
  }

  /** A picture has come onto the screen.
   * @param {number} frame
   * @param {Shown} shown
   * @param {number} offsetUs vehicle's clock less the page's
   */
  present(frame, shown, offsetUs) {
    const made = this.made.get(frame);
    const { receivedMs, decodingMs, presentedMs, displayMs } = shown;
    if (!made || receivedMs === undefined || decodingMs === undefined) return;
    const doneMs = (made.doneUs - offsetUs) / 1000;
    this.stages.push([presentedMs, [
      (made.begunUs - made.captureUs) / 1000,
      (made.doneUs - made.begunUs) / 1000,
      receivedMs - doneMs,
      presentedMs - receivedMs - decodingMs,
      decodingMs,
      displayMs - presentedMs,
    ]]);
  }

  /** Note how old what is shown has been, each 10 ms, up to now; then what is shown from now on.
   * @param {number} nowMs
   * @param {number} captureUs of what is shown from now on; 0 when that is not known
   * @param {number} offsetUs
   */
  sample(nowMs, captureUs, offsetUs) {
    if (this.captureUs !== null) {
      const from = Math.max(this.sampledMs, nowMs - KEPT_MS);
      for (let at = from + SAMPLE_MS; at <= nowMs; at += SAMPLE_MS) {
        this.ages.push([at, at + (offsetUs - this.captureUs) / 1000]);
        this.sampledMs = at;
      }
    } else {
      this.sampledMs = nowMs;
    }
    this.captureUs = captureUs || null;
    const oldest = nowMs - KEPT_MS;
    while (this.ages.length && this.ages[0][0] < oldest) this.ages.shift();
    while (this.stages.length && this.stages[0][0] < oldest) this.stages.shift();
  }

  /** Median of each stage over the last second, ms; null when no picture came.
   * @returns {number[] | null}
   */
  medians() {
    if (!this.stages.length) return null;
    return STAGES.map((_, at) => part(this.stages.map(([, times]) => times[at]), 0.5));
  }

  /** Age p50, p95, p99 and greatest over the last second, ms; null when none is known.
   * @returns {number[] | null}
   */
  percentiles() {
    if (!this.ages.length) return null;
    const ages = this.ages.map(([, age]) => age);
    return [0.5, 0.95, 0.99, 1].map((share) => part(ages, share));
  }

  /** All of it in one line, in the chosen language.
   * @param {number} screenMs the monitor's own delay
   * @param {number | null} withinMs how far wrong the ages may be; null when nobody knows
   */
  line(screenMs, withinMs) {
    const medians = this.medians();
    const ages = this.percentiles();
    if (!medians || !ages) return "";
    const parts = STAGES.map((name, at) => {
      const ms = medians[at] + (name === "display" ? screenMs : 0);
      return `${named("line", name)} ${ms.toFixed(0)}`;
    });
    const [p50, p95, p99, max] = ages.map((age) => (age + screenMs).toFixed(0));
    const within = withinMs === null ? "?" : withinMs.toFixed(0);
    return t("split.line", { parts: parts.join(" + "), within, p50, p95, p99, max });
  }
}

/**
 * @param {number[]} values
 * @param {number} share
 */
function part(values, share) {
  const ordered = [...values].sort((one, other) => one - other);
  return ordered[Math.min(ordered.length - 1, Math.floor(ordered.length * share))];
}
