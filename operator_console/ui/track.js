/** The map: where the machine is and where it came from, as it reports its place. */

import { nightChosen } from "/ui/colours.js";
import { t } from "/ui/text.js";

/** A place older than this is no place any more, ms. */
const STALE_MS = 2000;
const APART_M = 0.5;
const KEPT = 2000;
/** The map reaches this far to each side of the machine, m. */
const REACH_M = 60;

/** @typedef {Record<string, any>} Json */

export class Track {
  /**
   * @param {HTMLElement} card
   * @param {HTMLCanvasElement} canvas
   * @param {HTMLElement} note
   */
  constructor(card, canvas, note) {
    this.card = card;
    this.canvas = canvas;
    this.note = note;
    /** @type {Array<[number, number]>} */
    this.points = [];
    /** @type {Json | null} */
    this.place = null;
    this.heardMs = -Infinity;
    this.drawn = "";
  }

  /** The machine has told its place.
   * @param {Json} place
   * @param {number} nowMs
   * @param {number} ageMs since it was told
   */
  hear(place, nowMs, ageMs) {
    this.place = place;
    this.heardMs = nowMs - ageMs - (typeof place.age_ms === "number" ? place.age_ms : 0);
    if (!hasPlace(place)) return;
    const last = this.points[this.points.length - 1];
    const moved = last ? Math.hypot(place.x_m - last[0], place.y_m - last[1]) : Infinity;
    if (moved < APART_M) return;
    // A jump is another fix, not a way that was driven.
    if (moved > REACH_M) this.points = [];
    this.points.push([place.x_m, place.y_m]);
    if (this.points.length > KEPT) this.points.shift();
  }

  /** @param {number} nowMs */
  draw(nowMs) {
    const place = this.place;
    const known = place !== null && hasPlace(place);
    const old = nowMs - this.heardMs > STALE_MS;
    // Underground the site's tags tell the stretch: a machine without a position lacks nothing then.
    const tagged = place?.fix === "tag" && !known && !old;
    this.card.classList.toggle("stale", (!known && !tagged) || old);
    this.note.textContent = tagged ? t("map.tags") : !known ? t("map.none") : old ? t("map.old")
      : typeof place.sigma_m === "number" ? t("map.within", { m: place.sigma_m.toFixed(1) }) : "";
    this.card.classList.toggle("none", !known && this.points.length === 0);
    const now = JSON.stringify([old, known, place?.x_m, place?.y_m, nightChosen()]);
    if (now === this.drawn) return;
    this.drawn = now;
    const pen = this.canvas.getContext("2d");
    if (!pen) return;
    const { width, height } = this.canvas;
    pen.clearRect(0, 0, width, height);
    if (!known) return;
    const scale = width / (2 * REACH_M);
    const to = (/** @type {[number, number]} */ [x, y]) => /** @type {const} */ ([
      width / 2 + (x - place.x_m) * scale, height / 2 - (y - place.y_m) * scale,
    ]);
    const [way, machine] = colours(this.card);
    pen.strokeStyle = way;
    pen.lineWidth = 3;
    pen.beginPath();
    for (const point of this.points) pen.lineTo(...to(point));
    pen.stroke();
    if (old) return;
    pen.fillStyle = machine;
    pen.beginPath();
    pen.arc(width / 2, height / 2, 5, 0, 2 * Math.PI);
    pen.fill();
  }
}

/** Of the way and of the machine.
 * @param {HTMLElement} card
 */
function colours(card) {
  const style = getComputedStyle(card);
  return [style.getPropertyValue("--dim"), style.getPropertyValue("--value")];
}

/** @param {Json} place */
function hasPlace(place) {
  return Number.isFinite(place.x_m) && Number.isFinite(place.y_m);
}
