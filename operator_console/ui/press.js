/** A press of STOP: what became of it, in a look and in words. */

import { guarded } from "/ui/fault.js";
import { named, t } from "/ui/text.js";

/** How long a STOP that was lost is shown at least. */
const SHOWN_MS = 6000;
/** What the console says this long after a press it said knowing of the press, if it lived. */
const KNOWS_MS = 100;

/** @typedef {Record<string, any>} Json */

/** The line to the console: whether it answers, and when it last said something.
 * @typedef {{up: boolean, heardMs: number}} Line */

export class StopPress {
  constructor() {
    this.pressedMs = -Infinity;
    this.lostMs = -Infinity;
    /** The console had it, and the machine has not confirmed it. */
    this.unconfirmed = false;
    /** The console's own word for why it did nothing. */
    this.reason = "";
  }

  /** STOP was pressed now.
   * @param {boolean} sent the line took it
   * @param {Line} line
   * @param {number} nowMs
   */
  pressed(sent, line, nowMs) {
    this.pressedMs = nowMs;
    this.lostMs = sent && line.up ? -Infinity : nowMs;
    this.unconfirmed = false;
    this.reason = "";
  }

  /** The console does not carry it out.
   * @param {string} reason
   * @param {number} nowMs
   */
  refused(reason, nowMs) {
    this.lostMs = nowMs;
    this.unconfirmed = false;
    this.reason = reason;
  }

  /** With the console goes what it had not read yet, and whoever repeats what is not confirmed.
   * @param {Json} stop
   * @param {Line} line
   * @param {number} nowMs
   */
  follow(stop, line, nowMs) {
    const unread = line.heardMs < this.pressedMs + KNOWS_MS;
    if (line.up || !(unread || stop.pending)) return;
    this.lostMs = nowMs;
    this.unconfirmed = !!stop.pending;
  }

  /** @param {number} nowMs */
  isLost(nowMs) {
    return nowMs - this.lostMs < SHOWN_MS;
  }

  /** How its button looks, and what is said beside it.
   * @param {Json} stop what the console tells of the machine's stop; that it is "unwatched"
   *   where it tells of every machine but this one; what it told last when it does not answer
   * @param {Line} line
   * @param {number} nowMs
   * @returns {[string, string]}
   */
  shown(stop, line, nowMs) {
    this.follow(stop, line, nowMs);
    const taken = line.up && (stop.pending || stop.confirmed);
    if (this.isLost(nowMs) && !taken) return ["unconfirmed", this.lostWords(line.up)];
    if (!line.up) return ["no-line", t("stop.no_line")];
    if (stop.unwatched) return ["no-line", refusal("unknown_vehicle")];
    if (stop.unconfirmed) return ["unconfirmed", t("stop.unconfirmed")];
    if (stop.pending) return ["pending", t("stop.pending")];
    return stop.confirmed ? ["confirmed", t("stop.confirmed")] : ["ready", t("stop.ready")];
  }

  /** @param {boolean} up */
  lostWords(up) {
    if (this.unconfirmed) return t("stop.unconfirmed");
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
