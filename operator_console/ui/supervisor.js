/** The supervisor's page: who drives what; ask, hand over, take over by stopping first, stop any. */

import { UNKNOWN, answerWords, figure } from "/ui/hud.js";
import { MODE_LOOKS, named, said, t } from "/ui/text.js";
import { WatchingPage, element, open, say, token } from "/ui/watching.js";

/** The console tells of the other machines this often; later it has nothing to say of them, ms. */
const TOLD_WITHIN_MS = 1000;
const ACTIONS = ["lease", "take_over", "offer", "release"];

/** @typedef {Record<string, any>} Json */

class SupervisorPage extends WatchingPage {
  constructor() {
    super();
    /** @type {Json[]} */
    this.machines = [];
    this.toldMs = -Infinity;
    this.drawn = "";
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
    this.toldMs = performance.now();
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
    this.drawMachines(nowMs - this.toldMs <= TOLD_WITHIN_MS);
  }

  /** @param {boolean} fresh */
  drawMachines(fresh) {
    const lines = this.machines.map((each) => fresh ? cells(each) : [each.vehicle, ...Array(6).fill(UNKNOWN)]);
    const text = JSON.stringify([lines, t("site.stop"), t("site.watch")]);
    if (text === this.drawn) return;
    this.drawn = text;
    element("machines").replaceChildren(...this.machines.map((each, at) => this.row(each, lines[at], fresh)));
  }

  /**
   * @param {Json} machine
   * @param {string[]} words
   * @param {boolean} fresh
   */
  row(machine, words, fresh) {
    const row = document.createElement("tr");
    row.dataset.look = fresh ? (MODE_LOOKS[machine.mode] ?? "unknown") : "unknown";
    row.append(...words.map((text) => {
      const cell = document.createElement("td");
      cell.textContent = text;
      return cell;
    }));
    const last = document.createElement("td");
    const stop = document.createElement("button");
    stop.type = "button";
    stop.className = "stop";
    stop.textContent = t("site.stop");
    stop.dataset.vehicle = machine.vehicle;
    stop.addEventListener("click", () => {
      this.socket.send({ t: "action", do: "stop", vehicle: machine.vehicle });
    });
    const watch = document.createElement("a");
    watch.textContent = t("site.watch");
    watch.target = "_blank";
    watch.href = `/wing?token=${encodeURIComponent(token())}&camera=${machine.camera}`
      + `&vehicle=${encodeURIComponent(machine.vehicle)}`;
    last.append(stop, watch);
    row.append(last);
    return row;
  }
}

/** @param {Json} machine */
function cells(machine) {
  const stop = machine.stop ?? {};
  const stopped = stop.unconfirmed ? t("stop.unconfirmed") : stop.pending ? t("stop.pending")
    : stop.confirmed ? t("stop.confirmed") : "";
  return [
    machine.vehicle,
    machine.mode === null ? t("mode.unknown") : named("mode", machine.mode),
    figure(typeof machine.speed_mps === "number" ? Math.abs(machine.speed_mps) : null, 1, 3.6),
    machine.holder ?? (machine.mode === null ? UNKNOWN : t("holder.nobody")),
    machine.waiting ?? "",
    said(machine.cause),
    stopped,
  ];
}

open(() => new SupervisorPage());
