/** The side cameras as mirrors on the main view: each lives and freezes by itself. */

import { element, say } from "/ui/hud.js";
import { Picture } from "/ui/picture.js";
import { named } from "/ui/text.js";

const SIDES = /** @type {const} */ (["left", "right"]);

export class Mirrors {
  /** @param {import("/ui/clock.js").PageClock} clock of the vehicle, seen from the page */
  constructor(clock) {
    this.clock = clock;
    this.sides = SIDES.map((side) => ({
      side,
      picture: new Picture(
        /** @type {HTMLVideoElement} */ (element(`video-${side}`)), 0, clock),
      fitted: false,
    }));
  }

  /** Show those that the console names.
   * @param {Record<string, any>} config
   */
  configure(config) {
    for (const each of this.sides) {
      const camera = config[`${each.side}_camera`];
      each.fitted = typeof camera === "number";
      if (each.fitted) each.picture.camera = camera;
      element(`mirror-${each.side}`).hidden = !each.fitted;
    }
  }

  get pictures() {
    return this.sides.filter((each) => each.fitted).map((each) => each.picture);
  }

  /** Say of each whether it is live.
   * @param {number} nowMs
   * @param {number | undefined} maxAgeMs age at which the machine would stop for the main view
   */
  draw(nowMs, maxAgeMs) {
    const offsetUs = this.clock.offsetUs(nowMs);
    for (const { side, picture, fitted } of this.sides) {
      if (!fitted) continue;
      const known = offsetUs !== null && picture.captureUs > 0;
      const ageMs = known ? Math.max(0, nowMs + (offsetUs - picture.captureUs) / 1000) : null;
      const live = picture.liveness(nowMs, ageMs, maxAgeMs);
      const mirror = element(`mirror-${side}`);
      if (mirror.dataset.live !== live) mirror.dataset.live = live;
      say(`mirror-${side}-note`, live === "live" ? "" : named("live", live));
    }
  }
}
