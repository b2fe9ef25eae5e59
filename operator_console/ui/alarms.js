/** What calls for the driver: four classes, in order, until they are acknowledged (IMO MSC.302(87)). */

export const SHOWN_MAX = 12;
/** A silenced or a lasting warning sounds again after this, ms. */
export const AGAIN_MS = 30_000;
/** What is told of an earlier time than this is history and calls for nobody, ms. */
const NEWS_MS = 10_000;

/** @type {Record<string, number>} */
const CLASSES = { emergency: 4, alarm: 3, warning: 2, caution: 1, info: 0 };
/** Emergencies and alarms sound on until they are acknowledged; cautions never do. */
const LASTING = 3;
const AUDIBLE = 2;

/**
 * @typedef {object} Alert
 * @property {string} code
 * @property {string} level
 * @property {import("/ui/text.js").Both} words
 * @property {number} count how often it came
 * @property {number} atMs when it came last, by the page's clock
 * @property {boolean} open nobody has acknowledged it
 * @property {boolean} standing it holds now; an event is over when it is told
 * @property {boolean} over it has stood and stands no more: when it stands again it calls anew
 * @property {number} soundedMs when it was last given out
 * @property {number} number rises with each
 */

export class AlarmBook {
  constructor() {
    /** @type {Map<string, Alert>} */
    this.alerts = new Map();
    this.silentUntilMs = -Infinity;
    this.told = 0;
    /** @type {string | null} */
    this.standing = null;
  }

  /** An event was told; one that comes again moves up and is counted.
   * @param {{id: string, severity: string, en: string, zh: string}} event
   * @param {number} nowMs
   * @param {number} ageMs how long ago it happened
   */
  event(event, nowMs, ageMs) {
    const before = this.alerts.get(event.id);
    const count = (before?.count ?? 0) + 1;
    // What stands already has called for the driver: its own event adds nothing.
    if (before?.standing && nowMs - before.atMs <= NEWS_MS) before.count = count;
    else this.raise(event.id, event.severity, event, nowMs - ageMs, ageMs <= NEWS_MS, count);
  }

  /** What stands before the driver now; nothing when all is well.
   * @param {{code: string, level: string, en: string, zh: string} | null | undefined} message
   * @param {number} nowMs
   */
  stand(message, nowMs) {
    const code = message?.code ?? null;
    if (code === this.standing) return;
    const last = this.standing === null ? undefined : this.alerts.get(this.standing);
    if (last) {
      last.standing = false;
      last.over = true;
      // What called for care only is over with its cause; what was worse is to be acknowledged.
      if (rank(last.level) < AUDIBLE) last.open = false;
    }
    this.standing = code;
    if (!message || code === null) return;
    const before = this.alerts.get(code);
    // The event of the same cause has called for the driver already; what nobody has acknowledged
    // calls on.
    const again = before?.over && !before.open;
    const news = !before || again || nowMs - before.atMs > NEWS_MS;
    if (news) this.raise(code, message.level, message, nowMs, true, before?.count ?? 0);
    const alert = this.alerts.get(code);
    if (!alert) return;
    alert.standing = true;
    alert.over = false;
  }

  /**
   * @param {string} code
   * @param {string} level
   * @param {import("/ui/text.js").Both} words
   * @param {number} atMs
   * @param {boolean} news
   * @param {number} count
   */
  raise(code, level, words, atMs, news, count) {
    const open = news && rank(level) > 0;
    const standing = this.alerts.get(code)?.standing ?? false;
    this.told += 1;
    this.alerts.set(code, {
      number: this.told, code, level, words: { en: words.en, zh: words.zh }, count, atMs, open, standing,
      over: false, soundedMs: -Infinity,
    });
    while (this.alerts.size > SHOWN_MAX) {
      const least = this.ordered().at(-1);
      if (least) this.alerts.delete(least.code);
    }
  }

  /** What nobody has acknowledged comes first, the highest class on top; then the newest. */
  ordered() {
    const called = (/** @type {Alert} */ alert) => (alert.open ? rank(alert.level) : 0);
    return [...this.alerts.values()].sort(
      (one, other) => called(other) - called(one) || other.atMs - one.atMs
        || other.number - one.number,
    );
  }

  acknowledge() {
    for (const alert of this.alerts.values()) alert.open = false;
  }

  /** Nothing sounds for half a minute; what is still open then sounds again.
   * @param {number} nowMs
   * @returns {boolean} whether there was anything to silence
   */
  silence(nowMs) {
    if (!this.loudest()) return false;
    this.silentUntilMs = nowMs + AGAIN_MS;
    for (const alert of this.alerts.values()) alert.soundedMs = -Infinity;
    return true;
  }

  loudest() {
    return this.ordered().find((alert) => alert.open && rank(alert.level) >= AUDIBLE);
  }

  /** Seconds of silence that are left.
   * @param {number} nowMs
   */
  silentS(nowMs) {
    return Math.max(0, Math.ceil((this.silentUntilMs - nowMs) / 1000));
  }

  /** The class to give out now, null for quiet. Each call may begin one sound.
   * @param {number} nowMs
   * @param {number} lengthMs of a sound: a lasting one follows itself
   * @returns {string | null}
   */
  sound(nowMs, lengthMs) {
    const alert = this.loudest();
    if (!alert || nowMs < this.silentUntilMs) return null;
    const againMs = rank(alert.level) >= LASTING ? lengthMs : AGAIN_MS;
    if (nowMs - alert.soundedMs < againMs) return null;
    alert.soundedMs = nowMs;
    return alert.level;
  }

  /** The console tells its newest events anew on each new line. */
  forget() {
    this.alerts.clear();
    this.standing = null;
  }
}

/** @param {string} level */
function rank(level) {
  return CLASSES[level] ?? 1;
}
