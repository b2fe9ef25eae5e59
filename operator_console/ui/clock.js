/** The vehicle's clock seen from the page, and how far wrong that may be. */

/** Bounds older than this speak for nothing (two crystals part by 200 ppm: 2 ms in 10 s). */
const WINDOW_MS = 10_000;
/** The console's word is passed on within this: it comes over the same computer's loopback. */
const CONSOLE_WAY_US = 2000;
/** Between the console's words; the quickest of them counts. */
const CONSOLE_WINDOW_MS = 2000;

/** The least of the values of the last seconds. */
class LeastOfWindow {
  constructor() {
    /** @type {Array<[number, number]>} */
    this.kept = [];
  }

  /**
   * @param {number} atMs
   * @param {number} value
   */
  note(atMs, value) {
    while (this.kept.length && this.kept[this.kept.length - 1][1] >= value) this.kept.pop();
    this.kept.push([atMs, value]);
  }

  /** @param {number} nowMs */
  value(nowMs) {
    while (this.kept.length && this.kept[0][0] < nowMs - WINDOW_MS) this.kept.shift();
    return this.kept.length ? this.kept[0][1] : null;
  }
}

/** When the console told something, by the page's clock. Both are the one computer's, which does
 * not drift: what was taken quickest on this line gives the difference, and all that takes longer
 * has waited, here or on its way. */
export class ToldTime {
  constructor() {
    this.aheadMs = Infinity;
  }

  /** Another console may be at the end of a new line. */
  forget() {
    this.aheadMs = Infinity;
  }

  /**
   * @param {unknown} toldMs console's clock; an unknown one is taken to be of now
   * @param {number} nowMs
   */
  at(toldMs, nowMs) {
    if (typeof toldMs !== "number") return nowMs;
    this.aheadMs = Math.min(this.aheadMs, nowMs - toldMs);
    return toldMs + this.aheadMs;
  }
}

/** @typedef {{offsetUs: number, withinUs: number | null}} Known vehicle's clock less the page's, and
 * how far wrong it may be; null where it is a lower bound only */

/**
 * Each message bounds the offset from one side: none arrives before it was sent. The vehicle's
 * messages give the lower bound and, as the vehicle tells, the page's own give the upper one; the
 * tightest of each, over some seconds, leave what the quickest round trip cannot tell: how unequal
 * its two ways are (RFC 5905, 8). The console knows the clock by the command paths, and the
 * narrower of the two counts: they may run over different links.
 */
export class PageClock {
  constructor() {
    /** @type {Array<[number, number, number | null]>} */
    this.told = [];
    this.below = new LeastOfWindow();
    this.above = new LeastOfWindow();
  }

  /** What came over a link that has ended: the vehicle may have booted since. */
  forget() {
    this.below = new LeastOfWindow();
    this.above = new LeastOfWindow();
  }

  /** The console has told what the vehicle's clock is.
   * @param {unknown} vehicleNowUs null while it does not know
   * @param {unknown} withinUs how far wrong that may be, null for a lower bound
   * @param {number} nowMs when it told that
   */
  hear(vehicleNowUs, withinUs, nowMs) {
    if (typeof vehicleNowUs !== "number") return;
    const within = typeof withinUs === "number" ? withinUs : null;
    this.told.push([nowMs, vehicleNowUs - nowMs * 1000, within]);
    while (this.told[0][0] < nowMs - CONSOLE_WINDOW_MS) this.told.shift();
  }

  /** A message of the vehicle's has come.
   * @param {number} sentUs vehicle's clock
   * @param {number} nowMs
   */
  arrived(sentUs, nowMs) {
    this.below.note(nowMs, nowMs * 1000 - sentUs);
  }

  /** The vehicle has told by how much its clock was ahead when a message of ours arrived.
   * @param {number} aheadUs arrival by the vehicle's clock less sending by the page's
   * @param {number} nowMs
   */
  received(aheadUs, nowMs) {
    this.above.note(nowMs, aheadUs);
  }

  /** @param {number} nowMs @returns {Known | null} */
  byLink(nowMs) {
    const below = this.below.value(nowMs);
    const above = this.above.value(nowMs);
    if (below === null) return null;
    if (above === null) return { offsetUs: -below, withinUs: null };
    if (above < -below) this.forget();
    return { offsetUs: (above - below) / 2, withinUs: Math.max(0, (above + below) / 2) };
  }

  /** @returns {Known | null} */
  byConsole() {
    if (!this.told.length) return null;
    const newest = this.told[this.told.length - 1][2];
    const alike = this.told.filter(([, , within]) => (within === null) === (newest === null));
    const offsetUs = Math.max(...alike.map(([, offset]) => offset));
    return { offsetUs, withinUs: newest === null ? null : newest + CONSOLE_WAY_US };
  }

  /** What is known best.
   * @param {number} nowMs
   * @returns {Known | null}
   */
  known(nowMs) {
    const [link, told] = [this.byLink(nowMs), this.byConsole()];
    if (!link || !told) return link ?? told;
    if (link.withinUs === null && told.withinUs === null) {
      return link.offsetUs > told.offsetUs ? link : told;
    }
    return (link.withinUs ?? Infinity) <= (told.withinUs ?? Infinity) ? link : told;
  }

  /** Vehicle's clock less the page's, µs; null while it is not known.
   * @param {number} nowMs
   */
  offsetUs(nowMs) {
    return this.known(nowMs)?.offsetUs ?? null;
  }
}
