/** A press of STOP on a page beside the driver's: what became of it, in a look and in words. */

import { guarded } from "/ui/fault.js";
import { named, t } from "/ui/text.js";

/** How long a STOP that was lost is shown at least. */
const SHOWN_MS = 6000;

/** @typedef {Record<string, any>} Json */

export class StopPress {
  constructor() {
    this.lostMs = -Infinity;
    /** The console's own word for why it did nothing. */
    this.reason = "";
  }

  /** STOP was pressed now.
   * @param {boolean} sent the line took it
   * @param {boolean} up the console answers
   * @param {number} nowMs
   */
  pressed(sent, up, nowMs) {
    this.lostMs = sent && up ? -Infinity : nowMs;
    this.reason = "";
  }

  /** The console does not carry it out.
   * @param {string} reason
   * @param {number} nowMs
   */
  refused(reason, nowMs) {
    this.lostMs = nowMs;
    this.reason = reason;
  }

  /** @param {number} nowMs */
  isLost(nowMs) {
    return nowMs - this.lostMs < SHOWN_MS;
  }

  /** How its button looks, and what is said beside it.
   * @param {Json} stop what the console tells of the machine's stop; that it is "unwatched"
   *   where it tells of every machine but this one
   * @param {boolean} up
   * @param {number} nowMs
   * @returns {[string, string]}
   */
  shown(stop, up, nowMs) {
    const taken = up && (stop.pending || stop.confirmed);
    if (this.isLost(nowMs) && !taken) {
      return ["unconfirmed", this.lostWords(up)];
    }
    if (!up) return ["no-line", t("stop.no_line")];
    if (stop.unwatched) return ["no-line", refusal("unknown_vehicle")];
    if (stop.unconfirmed) return ["unconfirmed", t("stop.unconfirmed")];
    if (stop.pending) return ["pending", t("stop.pending")];
    return stop.confirmed ? ["confirmed", t("stop.confirmed")] : ["ready", t("stop.ready")];
  }

  /** @param {boolean} up */
  lostWords(up) {
    if (!up) return t("stop.not_sent");
    return this.reason ? refusal(this.reason) : t("stop.again");
  }
}

/** @param {string} reason */
function refusal(reason) {
  return t("stop.refused", { why: named("reason", reason) });
}

/** Let a button press at once, with the mouse as it goes down, and by the keyboard.
 * @param {HTMLElement} button
 * @param {() => void} press
 */
export function pressesAtOnce(button, press) {
  button.addEventListener("pointerdown", guarded(() => press()));
  button.addEventListener("click", guarded((event) => {
    if (event.detail === 0) press();
  }));
}
