/** When the page turns to its standby session, and when it sets one up: core/standby.py's rule.
 *
 * A page has to decode and draw besides: while the vehicle's words for its pictures come by the session
 * that is shown, it is most likely this computer that is late, and it waits longer before it turns.
 */

/** A picture that stands for so long has stopped for good; 600 ms stop the machine. */
const LEAST_SILENCE_MS = 250;
/** Pictures that come seldom are silent only after so many of their last pause. */
const GAPS = 2;
/** Here a new session begins. */
const MOST_SILENCE_MS = 1000;
/** Pictures have come for this long before a standby is set up: the start is not disturbed. */
const STEADY_MS = 3000;
/** A standby that is not connected by then is given up, and the next one tried. */
const BUILD_AGAIN_MS = 5000;
/** Words that are younger than this, or than two pauses, tell that the session carries. */
const CARRIES_MS = 100;
/** Pictures that stand for so long are asked for elsewhere, whatever words come. */
const SURE_MS = 400;
/** A page that has not looked for so long was held up itself: what waits for it is not counted yet. */
const HELD_UP_MS = 150;
/** What asks for the pictures may be lost, as everything on that channel. */
const ASK_AGAIN_MS = 100;

export class StandbyWatch {
  constructor() {
    this.lastMs = -Infinity;
    this.gapMs = 0;
    this.steadySinceMs = 0;
    this.builtMs = -Infinity;
    this.askedMs = -Infinity;
    this.heardMs = -Infinity;
    this.lookedMs = -Infinity;
  }

  /** The vehicle has told of a picture, by the session that is shown.
   * @param {number} nowMs
   */
  heard(nowMs) {
    this.heardMs = nowMs;
  }

  /** A picture has come, by whichever session.
   * @param {number} nowMs
   */
  painted(nowMs) {
    const goesOn = this.lastMs !== -Infinity && !this.silent(nowMs);
    this.gapMs = goesOn ? nowMs - this.lastMs : 0;
    if (!goesOn) this.steadySinceMs = nowMs;
    this.lastMs = nowMs;
  }

  /** Whether pictures have come and have stopped.
   * @param {number} nowMs
   */
  silent(nowMs) {
    if (this.lastMs === -Infinity) return false;
    const patienceMs = Math.min(MOST_SILENCE_MS, Math.max(LEAST_SILENCE_MS, GAPS * this.gapMs));
    return nowMs - this.lastMs > patienceMs;
  }

  /** Whether a standby is to be set up now, where none is ready; it is noted.
   * @param {number} nowMs
   */
  builds(nowMs) {
    if (this.lastMs === -Infinity || this.silent(nowMs)) return false;
    if (nowMs - this.steadySinceMs < STEADY_MS) return false;
    if (nowMs - this.builtMs < BUILD_AGAIN_MS) return false;
    this.builtMs = nowMs;
    return true;
  }

  /** The standby is the one that is looked at: the next may be set up soon. */
  turned() {
    this.builtMs = -Infinity;
  }

  /** Whether the standby, which is ready, is to be asked now; it is noted.
   * @param {number} nowMs
   */
  asks(nowMs) {
    const heldUp = nowMs - this.lookedMs > HELD_UP_MS;
    this.lookedMs = nowMs;
    const carries = nowMs - this.heardMs < Math.max(CARRIES_MS, GAPS * this.gapMs);
    if (heldUp || (carries && nowMs - this.lastMs <= SURE_MS)) return false;
    if (!this.silent(nowMs) || nowMs - this.askedMs < ASK_AGAIN_MS) return false;
    this.askedMs = nowMs;
    return true;
  }
}
