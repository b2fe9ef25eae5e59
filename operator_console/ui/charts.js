/** What the engineer's charts draw: one point a second of the newest values, five minutes of them. */

/** @typedef {Record<string, any>} Json */

/** A value that was told longer ago than this is none, ms. */
export const STALE_MS = 3000;
export const KEPT = 300;

/** The newest that was heard.
 * @typedef {object} Heard
 * @property {Json} state the console's message; empty when it is old
 * @property {Record<string, Json>} slow by group; a group that is old is not there
 */

/** A line of a chart: its name, worded where it is no sign, and where its value comes from.
 * @typedef {[string, (heard: Heard) => unknown]} Line */

/** A chart: its title's key, its unit, its lines.
 * @typedef {[import("/ui/text.js").Key, string, Line[]]} Plan */

const STAGES = ["capture", "encode", "network", "buffer", "decode", "display"];

/** @param {Heard} heard */
const camera = (heard) => heard.slow.media?.cameras?.[0] ?? {};
/** @param {Heard} heard @param {number} path */
const path = (heard, path) => heard.slow.control?.paths?.[path] ?? {};

/** @type {Plan[]} */
export const PLANS = [
  ["chart.picture", "ms", STAGES.map((name, at) =>
    [name, (/** @type {Heard} */ heard) => camera(heard).seen?.split?.[at]])],
  ["chart.age", "ms", [
    ["p50", (heard) => camera(heard).seen?.age?.[0]],
    ["p95", (heard) => camera(heard).seen?.age?.[1]],
    ["max", (heard) => camera(heard).seen?.age?.[3]],
  ]],
  ["chart.loop", "ms", [
    ["T_loop", (heard) => heard.state.vehicle?.loop_ms],
    ["round_trip", (heard) => heard.state.console?.rtt_ms],
    ["uplink_median", (heard) => heard.slow.control?.uplink_ms?.p50],
    ["uplink_worst", (heard) => heard.slow.control?.uplink_ms?.p99],
    ["loop_median", (heard) => heard.slow.control?.loop_ms?.p50],
    ["loop_worst", (heard) => heard.slow.control?.loop_ms?.p99],
  ]],
  ["chart.paths", "%", [
    ["MQTT", (heard) => path(heard, 0).delivered_pct],
    ["DATA", (heard) => path(heard, 1).delivered_pct],
  ]],
  ["chart.rates", "Hz", [
    ["commands", (heard) => heard.state.console?.command_rate_hz],
    ["states", (heard) => heard.state.console?.state_rate_hz],
    ["pictures", (heard) => camera(heard).fps],
  ]],
  ["chart.bits", "Mbit/s", [
    ["target", (heard) => mega(camera(heard).target_bps)],
    ["sent", (heard) => mega(camera(heard).sent_bps)],
  ]],
  ["chart.quality", "QP", [
    ["median", (heard) => camera(heard).qp],
    ["worst", (heard) => camera(heard).qp_max],
  ]],
  ["chart.refused", "1/s", [
    ["refused", (heard) => total(heard.slow.control?.refused)],
  ]],
];

/** These are totals that only grow: drawn is by how much in a second. */
const GROWING = new Set(["refused"]);

/** @param {unknown} bps */
function mega(bps) {
  return typeof bps === "number" ? bps / 1e6 : null;
}

/** @param {Json | undefined} counts */
function total(counts) {
  if (!counts) return null;
  return Object.values(counts).reduce((sum, each) => sum + (Number.isFinite(each) ? each : 0), 0);
}

/** Five minutes of every line; what is not known leaves a gap. */
export class Series {
  constructor() {
    /** @type {Array<Array<Array<number | null>>>} */
    this.charts = PLANS.map(([, , lines]) => [[], ...lines.map(() => [])]);
    /** @type {Map<string, number>} */
    this.before = new Map();
  }

  /**
   * @param {number} atS
   * @param {Heard} heard
   */
  take(atS, heard) {
    PLANS.forEach(([, , lines], index) => {
      const columns = this.charts[index];
      columns[0].push(atS);
      lines.forEach(([name, find], at) => columns[at + 1].push(this.value(name, find(heard))));
      for (const column of columns) if (column.length > KEPT) column.shift();
    });
  }

  /**
   * @param {string} name
   * @param {unknown} told
   */
  value(name, told) {
    const value = typeof told === "number" && Number.isFinite(told) ? told : null;
    if (!GROWING.has(name)) return value;
    const before = this.before.get(name);
    if (value === null) this.before.delete(name);
    else this.before.set(name, value);
    return value === null || before === undefined ? null : Math.max(0, value - before);
  }
}
