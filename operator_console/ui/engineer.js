/** The engineer's page: what the machine and the console measure, and the settings that it reports. */

import { PLANS, STALE_MS, Series } from "/ui/charts.js";
import { guarded, onFault } from "/ui/fault.js";
import { language, named, said, t } from "/ui/text.js";
import uPlot from "/ui/uplot.js";
import { WatchingPage, element, open, say } from "/ui/watching.js";

const TICK_MS = 1000;
const EVENTS_SHOWN = 40;
const COLOURS = ["#5ec8d8", "#e3c341", "#e8872e", "#9ad17b", "#c792ea", "#f2f2f2"];
const AXIS = {
  stroke: "#8b939c", grid: { stroke: "#323941", width: 1 }, ticks: { stroke: "#323941" },
};

/** @typedef {Record<string, any>} Json */

class EngineerPage extends WatchingPage {
  constructor() {
    super();
    /** @type {Map<string, {content: Json, atMs: number}>} */
    this.slow = new Map();
    this.series = new Series();
    /** @type {Json[]} */
    this.events = [];
    this.drawnIn = "";
    /** @type {uPlot[]} */
    this.plots = [];
    this.makeCharts();
    const tick = setInterval(guarded(() => this.tick(performance.now())), TICK_MS);
    onFault(() => clearInterval(tick));
    new ResizeObserver(guarded(() => this.fit())).observe(element("charts"));
  }

  /** @param {Json} message */
  hear(message) {
    super.hear(message);
    if (message.t === "config") say("vehicle-name", message.vehicle);
    if (message.t === "slow") {
      this.slow.set(
        message.group, { content: message.content, atMs: performance.now() - message.age_ms });
      if (message.group === "factsheet") this.drawSettings(message.content);
    }
    if (message.t === "event") {
      this.events.unshift({ ...message, at: Date.now() - (message.age_ms ?? 0) });
      this.events.length = Math.min(this.events.length, EVENTS_SHOWN);
      this.drawEvents();
    }
  }

  /** What is new enough to be drawn as of now.
   * @param {number} nowMs
   * @returns {import("/ui/charts.js").Heard}
   */
  heard(nowMs) {
    const fresh = [...this.slow].filter(([, told]) => nowMs - told.atMs <= STALE_MS);
    const slow = Object.fromEntries(fresh.map(([group, told]) => [group, told.content]));
    return { state: this.known(nowMs), slow };
  }

  /** @param {number} nowMs */
  tick(nowMs) {
    const heard = this.heard(nowMs);
    this.series.take(Math.round(Date.now() / 1000), heard);
    this.plots.forEach((plot, at) =>
      plot.setData(/** @type {uPlot.AlignedData} */ (this.series.charts[at])));
    this.drawCounters(heard);
    this.drawLadder(heard);
    this.drawRecorders(heard);
    if (this.drawnIn !== language()) this.makeCharts();
  }

  /** Charts carry their words inside: in another language they are made anew. */
  makeCharts() {
    this.drawnIn = language();
    for (const plot of this.plots) plot.destroy();
    element("charts").replaceChildren();
    this.plots = PLANS.map(([title, unit, lines], at) => new uPlot(
      {
        ...this.size(),
        title: `${t(title)}, ${unit}`,
        cursor: { drag: { x: false, y: false } },
        scales: { y: { range: (_, low, high) => [Math.min(0, low ?? 0), Math.max(1, high ?? 1) * 1.1] } },
        axes: [{ ...AXIS, values: (_, seconds) => seconds.map(timeOfDay) }, AXIS],
        series: [
          { label: t("chart.time"), value: (_, seconds) => timeOfDay(seconds) },
          ...lines.map(([name], line) => ({
            label: named("line", name), stroke: COLOURS[line], width: 2,
          })),
        ],
      },
      /** @type {uPlot.AlignedData} */ (this.series.charts[at]),
      element("charts"),
    ));
  }

  size() {
    const width = Math.floor(element("charts").clientWidth / 2) - 12;
    return { width: Math.max(280, width), height: 190 };
  }

  fit() {
    for (const plot of this.plots) plot.setSize(this.size());
  }

  /** @param {import("/ui/charts.js").Heard} heard */
  drawCounters(heard) {
    const control = heard.slow.control;
    const own = heard.state.console?.refused ?? {};
    fill("refused", [
      ...rows(control?.refused, t("engineer.machine")),
      ...rows(control?.requests_refused, t("engineer.requests")),
      ...rows(control?.bus_refused, t("engineer.bus")),
      ...rows(own, t("engineer.console")),
    ], control ? t("engineer.no_refusal") : t("engineer.not_told"));
  }

  /** @param {import("/ui/charts.js").Heard} heard */
  drawLadder(heard) {
    const media = heard.slow.media;
    const cameras = /** @type {Json[]} */ (Array.isArray(media?.cameras) ? media.cameras : []);
    fill("ladder", cameras.map((each) => [
      `${each.id} ${each.name}`,
      [each.step, `${figure(each.target_bps, 1e6)} Mbit/s`, `${each.fps} fps`, `QP ${each.qp ?? "—"}`,
        `${t("engineer.viewers")} ${each.viewers}`, each.error || ""].filter(Boolean).join(" · "),
    ]), t("engineer.not_told"));
    say("encoder", media ? String(media.encoder) : "—");
  }

  /** Both flight recorders: what they write now, and what they lost.
   * @param {import("/ui/charts.js").Heard} heard
   */
  drawRecorders(heard) {
    /** @type {[string, Json | undefined][]} */
    const both = [
      [t("engineer.of_machine"), heard.slow.recorder],
      [t("engineer.of_cockpit"), heard.slow.cockpit_recorder],
    ];
    fill("recorders", both.flatMap(([where, told]) => told ? recording(where, told) : []),
      t("engineer.not_told"));
  }

  /** The settings are the machine's own word, read back from its factsheet.
   * @param {Json} facts
   */
  drawSettings(facts) {
    const groups = ["machine", "limits", "timing"];
    const plain = Object.entries(facts).filter(([, value]) => typeof value !== "object");
    const cameras = (Array.isArray(facts.cameras) ? facts.cameras : []).map((/** @type {Json} */ each) =>
      [`camera ${each.id}`, `${each.name} ${each.width}x${each.height}@${each.fps}`]);
    fill("settings", [
      ...plain.map(([name, value]) => [name, String(value)]),
      ...cameras,
      ...groups.flatMap((group) => Object.entries(facts[group] ?? {})
        .filter(([, value]) => value !== null)
        .map(([name, value]) => [`${group}.${name}`, String(value)])),
    ], t("engineer.not_told"));
  }

  drawEvents() {
    fill("event-list", this.events.map((each) => [
      `${timeOfDay(each.at / 1000)} ${each.id}`, said(/** @type {any} */ (each)),
    ]), "—");
  }
}

/**
 * @param {string} where
 * @param {Json} told
 * @returns {string[][]}
 */
function recording(where, told) {
  const now = told.error ? String(told.error) : `${told.segment} · ${figure(told.bytes, 1e6)} MB`;
  const lost = rows(told.lost, `${where}, ${t("engineer.lost")}`);
  return [[where, now], ...lost];
}

/**
 * @param {Json | undefined} counts
 * @param {string} where
 */
function rows(counts, where) {
  return Object.entries(counts ?? {})
    .sort(([, one], [, other]) => other - one)
    .map(([reason, count]) => [`${where}: ${reason}`, String(count)]);
}

/** As hours, minutes and seconds of the day; for no time a dash.
 * @param {number | null} seconds
 */
function timeOfDay(seconds) {
  return seconds === null ? "—" : new Date(seconds * 1000).toTimeString().slice(0, 8);
}

/** @param {unknown} value @param {number} by */
function figure(value, by) {
  return typeof value === "number" ? (value / by).toFixed(2) : "—";
}

/** A table of two columns; a word where it has no row.
 * @param {string} id
 * @param {string[][]} lines
 * @param {string} none
 */
function fill(id, lines, none) {
  const shown = lines.length ? lines : [[none, ""]];
  const text = JSON.stringify(shown);
  const table = element(id);
  if (table.dataset.drawn === text) return;
  table.dataset.drawn = text;
  table.replaceChildren(...shown.map((cells) => {
    const row = document.createElement("tr");
    row.append(...cells.map((words) => {
      const cell = document.createElement("td");
      cell.textContent = words;
      return cell;
    }));
    return row;
  }));
}

open(() => new EngineerPage());
