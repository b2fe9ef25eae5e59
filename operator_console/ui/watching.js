/** What every page beside the driver's has: a line that only watches, its words, its STOP. */

import { ToldTime } from "/ui/clock.js";
import { giveUp, guarded, onFault, watchForFaults } from "/ui/fault.js";
import { colourAsBefore, chooseNight, nightChosen } from "/ui/colours.js";
import { StopPress, pressesAtOnce } from "/ui/press.js";
import { ConsoleSocket, LINE_SILENT_MS } from "/ui/socket.js";
import { choose, chooseAsBefore, hasChinese, language } from "/ui/text.js";

/** What stands still is drawn as that within 300 ms: 250 of silence at most, and this. */
const WATCH_PERIOD_MS = 50;
const STOP_KEYS = new Set(["Space", "Escape"]);

/** @typedef {Record<string, any>} Json */

/** @param {string} id */
export function element(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`no element ${id}`);
  return found;
}

/** Write only what changed.
 * @param {string} id
 * @param {string} text
 */
export function say(id, text) {
  const target = element(id);
  if (target.textContent !== text) target.textContent = text;
}

/** What another page's address needs: the token that this one was opened with. */
export function token() {
  return new URLSearchParams(location.search).get("token") ?? "";
}

/** A page that watches: it has no seat, sends no input, and may press STOP. */
export class WatchingPage {
  constructor() {
    /** @type {Json} */
    this.state = {};
    /** When it was told, not when it was taken: it may have waited. */
    this.stateMs = -Infinity;
    this.told = new ToldTime();
    /** The console's own machine. */
    this.own = "";
    this.press = new StopPress();
    this.socket = new ConsoleSocket(
      token(), (message) => this.hear(message), () => this.lineChanged(), true);
    window.addEventListener("keydown", guarded((event) => this.keyDown(event)));
    pressesAtOnce(element("stop"), () => this.stop());
    const watch = setInterval(guarded(() => this.watch(performance.now())), WATCH_PERIOD_MS);
    onFault(() => clearInterval(watch));
  }

  lineChanged() {
    this.told.forget();
    this.watch(performance.now());
  }

  /** @param {Json} message */
  hear(message) {
    if (message.t === "config") {
      this.own = message.vehicle;
      say("stop-machine", this.stops ?? this.own);
    }
    if (message.t === "ack" && message.kind === "stop" && message.outcome === "refused") {
      this.pressOf(message.vehicle)?.refused(message.reason, performance.now());
    }
    if (message.t !== "state") return;
    this.state = message;
    this.stateMs = this.told.at(message.told_ms, performance.now());
  }

  /** The vehicle that this page's STOP stops; undefined is the console's own. @type {string | undefined} */
  get stops() {
    return undefined;
  }

  /** What was pressed to stop a machine.
   * @param {string} vehicle
   * @returns {StopPress | undefined}
   */
  pressOf(vehicle) {
    return vehicle === (this.stops ?? this.own) ? this.press : undefined;
  }

  stop() {
    this.ask(this.press, this.stops);
  }

  stopByKey() {
    this.stop();
  }

  /** Ask for the stop of a machine, and show at once what is known of that.
   * @param {StopPress} press
   * @param {string | undefined} vehicle undefined is the console's own
   */
  ask(press, vehicle) {
    const sent = this.socket.send({ t: "action", do: "stop", vehicle });
    const nowMs = performance.now();
    press.pressed(sent, this.line(nowMs), nowMs);
    this.watch(nowMs);
  }

  /** @param {number} nowMs */
  lineUp(nowMs) {
    return this.socket.up && nowMs - this.stateMs <= LINE_SILENT_MS;
  }

  /** @param {number} nowMs */
  line(nowMs) {
    return { up: this.lineUp(nowMs), heardMs: this.stateMs };
  }

  /** The newest state, its age grown by the time since it was told; empty when the line is silent.
   * @param {number} nowMs
   * @returns {Json}
   */
  known(nowMs) {
    if (!this.lineUp(nowMs)) return {};
    const age = this.state.state_age_ms;
    const ageMs = typeof age === "number" ? age + nowMs - this.stateMs : Infinity;
    return ageMs <= this.state.state_max_age_ms ? this.state : { ...this.state, vehicle: null };
  }

  /** @param {KeyboardEvent} event */
  keyDown(event) {
    if (event.repeat) return;
    if (STOP_KEYS.has(event.code)) this.stopByKey();
    else if (event.ctrlKey || event.metaKey || event.altKey) return;
    else if (event.code === "KeyG") this.switchLanguage();
    else if (event.code === "KeyN") chooseNight(!nightChosen());
    else return;
    event.preventDefault();
  }

  switchLanguage() {
    const to = language() === "en" ? "zh" : "en";
    if (to === "en" || hasChinese()) choose(to);
    this.watch(performance.now());
  }

  /** Draw what is known now; each kind of page adds its own.
   * @param {number} nowMs
   */
  watch(nowMs) {
    this.drawStop(this.state.console?.stop ?? {}, nowMs);
  }

  /**
   * @param {Json} stop what the console knows of the stop
   * @param {number} nowMs
   */
  drawStop(stop, nowMs) {
    const [look, words] = this.press.shown(stop, this.line(nowMs), nowMs);
    element("stop").dataset.look = look;
    say("stop-note", words);
  }
}

/** Begin a page: its language, its colours, and its faults on the whole screen.
 * @param {() => void} begin
 */
export function open(begin) {
  watchForFaults();
  try {
    chooseAsBefore();
    colourAsBefore();
    begin();
  } catch (error) {
    giveUp(error);
  }
}
