/** The supervisor's page: who drives what; ask, hand over, take over by stopping first, stop any. */

import { UNKNOWN, answerWords, figure, look } from "/ui/hud.js";
import { StopPress, pressesAtOnce } from "/ui/press.js";
import { MODE_LOOKS, named, said, t } from "/ui/text.js";
import { WatchingPage, element, open, say, token } from "/ui/watching.js";

/** The console tells of the other machines this often; later it has nothing to say of them, ms. */
const TOLD_WITHIN_MS = 1000;
/** Of a machine's line, the one with its buttons aside. */
const CELLS = 7;
const ACTIONS = ["lease", "take_over", "offer", "release"];

/** @typedef {Record<string, any>} Json */

class SupervisorPage extends WatchingPage {
  constructor() {
    super();
    /** @type {Json[]} */
    this.machines = [];
    this.toldMs = -Infinity;
    /** By machine. @type {Map<string, Row>} */
    this.rows = new Map();
    for (const action of ACTIONS) {
      element(`do-${action}`).addEventListener("click", () => {
        this.socket.send({ t: "action", do: action });
      });
    }
  }

  /** @param {Json} message */
  hear(message) {
    super.hear(message);
    if (message.t === "config") say("vehicle-name", message.site);
    if (message.t !== "machines") return;
    this.machines = message.machines;
    this.toldMs = this.told.at(message.told_ms, performance.now());
  }

  /** @param {string} vehicle */
  pressOf(vehicle) {
    return this.rows.get(vehicle)?.press ?? super.pressOf(vehicle);
  }

  /** A key that means STOP, pressed in a machine's row, may mean that machine or the console's own:
   * both are stopped. Enter is no such key, and stops what it is pressed on. */
  stopByKey() {
    super.stopByKey();
    const focused = document.activeElement;
    for (const row of this.rows.values()) if (row.line.contains(focused)) row.stop();
  }

  /** @param {number} nowMs */
  watch(nowMs) {
    super.watch(nowMs);
    const inner = this.known(nowMs).console ?? {};
    const may = inner.may ?? [];
    for (const action of ACTIONS) {
      const button = /** @type {HTMLButtonElement} */ (element(`do-${action}`));
      button.disabled = !inner.may_take_over || !may.includes(action);
    }
    say("do-offer", inner.waiting ? t("do.offer.to", { who: inner.waiting }) : t("do.offer"));
    say("rule", t(inner.may_take_over === false ? "site.not_supervisor" : "site.rule"));
    say("answer", inner.answer ? answerWords(inner.answer) : "");
    say("message-words", said(inner.message));
    this.drawMachines(nowMs - this.toldMs <= TOLD_WITHIN_MS, nowMs);
  }

  /**
   * @param {boolean} fresh what was told of the machines still counts
   * @param {number} nowMs
   */
  drawMachines(fresh, nowMs) {
    const told = new Map(this.machines.map((each) => [/** @type {string} */ (each.vehicle), each]));
    for (const [vehicle, row] of this.rows) {
      if (told.has(vehicle) || row.press.isLost(nowMs)) continue;
      row.line.remove();
      this.rows.delete(vehicle);
    }
    for (const vehicle of told.keys()) if (!this.rows.has(vehicle)) this.add(vehicle);
    for (const [vehicle, row] of this.rows) {
      row.draw(told.get(vehicle) ?? null, fresh, this.line(nowMs), nowMs);
    }
  }

  /** @param {string} vehicle */
  add(vehicle) {
    const row = new Row(vehicle, (press) => this.ask(press, vehicle));
    this.rows.set(vehicle, row);
    element("machines").append(row.line);
  }
}

/** One machine's line of the table. It stays as long as the machine: of a button that is made anew
 * under a press the browser tells no click, and the keyboard loses it. */
class Row {
  /**
   * @param {string} vehicle
   * @param {(press: StopPress) => void} ask for its stop
   */
  constructor(vehicle, ask) {
    this.vehicle = vehicle;
    this.press = new StopPress();
    this.stop = () => ask(this.press);
    this.line = document.createElement("tr");
    this.cells = Array.from({ length: CELLS }, () => document.createElement("td"));
    this.button = document.createElement("button");
    this.button.type = "button";
    this.button.className = "stop";
    this.button.dataset.vehicle = vehicle;
    pressesAtOnce(this.button, this.stop);
    this.link = document.createElement("a");
    this.link.target = "_blank";
    const last = document.createElement("td");
    last.append(this.button, this.link);
    this.line.append(...this.cells, last);
  }

  /**
   * @param {Json | null} last what was told of the machine last; null when it is not told of
   * @param {boolean} fresh that still counts
   * @param {import("/ui/press.js").Line} line
   * @param {number} nowMs
   */
  draw(last, fresh, line, nowMs) {
    const machine = fresh ? last : null;
    look(this.line, (machine && MODE_LOOKS[machine.mode]) ?? "unknown");
    const words = machine ? cells(machine) : Array(CELLS - 2).fill(UNKNOWN);
    const stop = (line.up ? machine : last)?.stop ?? {};
    const [stopLook, stopWords] = this.press.shown(stop, line, nowMs);
    const stopped = stopLook !== "ready" && stopLook !== "no-line" ? stopWords : machine ? "" : UNKNOWN;
    [this.vehicle, ...words, stopped].forEach((text, at) => write(this.cells[at], text));
    look(this.cells[CELLS - 1], stopLook);
    write(this.button, t("site.stop"));
    write(this.link, t("site.watch"));
    if (machine) this.link.href = address(machine);
  }
}

/** Write only what changed.
 * @param {HTMLElement} target
 * @param {string} text
 */
function write(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

/** Of the page that shows a machine's camera.
 * @param {Json} machine
 */
function address(machine) {
  return `/wing?token=${encodeURIComponent(token())}&camera=${machine.camera}`
    + `&vehicle=${encodeURIComponent(machine.vehicle)}`;
}

/** What stands between a machine's name and its stop.
 * @param {Json} machine
 */
function cells(machine) {
  return [
    machine.mode === null ? t("mode.unknown") : named("mode", machine.mode),
    figure(typeof machine.speed_mps === "number" ? Math.abs(machine.speed_mps) : null, 1, 3.6),
    machine.holder_known ? (machine.holder ?? t("holder.nobody")) : UNKNOWN,
    machine.holder_known ? (machine.waiting ?? "") : UNKNOWN,
    said(machine.cause),
  ];
}

open(() => new SupervisorPage());
