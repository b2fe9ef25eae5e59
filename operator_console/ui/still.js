/** Tells a screen that shows the same picture under ever new numbers, while the scene changes. */

const COLUMNS = 16;
const ROWS = 9;
const LOOK_MS = 100;
const STUCK_CHANGES = 3;
const CHANGES_TURN = 1 << 16;

/**
 * The vehicle counts how often the scene has become another one. A picture that stays the same to
 * the last bit while that goes on is none of now; one of a scene that stands still is.
 */
export class StillWatch {
  constructor() {
    const canvas = document.createElement("canvas");
    canvas.width = COLUMNS;
    canvas.height = ROWS;
    const context = canvas.getContext("2d", { willReadFrequently: true, alpha: false });
    if (!context) throw new Error("no 2d canvas");
    this.context = context;
    this.lookedMs = -Infinity;
    /** @type {Uint8ClampedArray | null} */
    this.shown = null;
    this.changesThen = 0;
    this.isStuck = false;
  }

  /** Begin anew: what comes next has nothing to do with what was shown before. */
  forget() {
    this.lookedMs = -Infinity;
    this.shown = null;
    this.changesThen = 0;
    this.isStuck = false;
  }

  /** Whether the picture has stayed the same while the scene has changed several times.
   * @param {HTMLVideoElement} video
   * @param {number} stripPx rows at the top that the vehicle has drawn over
   * @param {number} changes as the vehicle counts them
   * @param {number} nowMs
   */
  stuck(video, stripPx, changes, nowMs) {
    if (nowMs - this.lookedMs < LOOK_MS) return this.isStuck;
    this.lookedMs = nowMs;
    const { videoWidth: width, videoHeight: height } = video;
    this.context.drawImage(
      video, 0, stripPx, width, height - stripPx, 0, 0, COLUMNS, ROWS);
    const data = this.context.getImageData(0, 0, COLUMNS, ROWS).data;
    const before = this.shown;
    if (before === null || data.some((value, index) => value !== before[index])) {
      this.shown = data;
      this.changesThen = changes;
    }
    const since = (changes - this.changesThen + CHANGES_TURN) % CHANGES_TURN;
    this.isStuck = since >= STUCK_CHANGES;
    return this.isStuck;
  }
}
