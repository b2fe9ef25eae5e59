/** A screen of its own for one camera: a mirror beside the main screen, or a machine to watch. */

import { PageClock } from "/ui/clock.js";
import { withinWords } from "/ui/hud.js";
import { Picture } from "/ui/picture.js";
import { MODE_LOOKS, named, t } from "/ui/text.js";
import { LiveVideo } from "/ui/video.js";
import { WatchingPage, element, open, say } from "/ui/watching.js";

/** @typedef {Record<string, any>} Json */

/** The console tells of the other machines five times a second, ms. */
const TOLD_WITHIN_MS = 1000;

class WingPage extends WatchingPage {
  constructor() {
    super();
    const asked = new URLSearchParams(location.search);
    this.side = asked.get("side");
    this.camera = Number(asked.get("camera") ?? 0);
    this.vehicle = asked.get("vehicle") ?? undefined;
    /** @type {Json | null} */
    this.other = null;
    this.otherMs = -Infinity;
    this.clock = new PageClock();
    this.picture = new Picture(
      /** @type {HTMLVideoElement} */ (element("video")), this.camera, this.clock);
    this.video = new LiveVideo(
      [this.picture],
      (message) => this.socket.send({ ...message, vehicle: this.vehicle }),
      () => this.frameIt(), () => undefined, this.clock);
  }

  get stops() {
    return this.vehicle;
  }

  get isOther() {
    return this.vehicle !== undefined && this.vehicle !== this.own;
  }

  /** @param {Json} message */
  hear(message) {
    super.hear(message);
    if (message.t === "state" && this.own && !this.isOther) {
      this.clock.hear(
        message.console?.vehicle_now_us, message.console?.vehicle_now_within_us, this.stateMs);
    }
    if (message.t === "answer") void this.video.answer(message.id, message.sdp);
    if (message.t === "machines") {
      this.other = message.machines.find((/** @type {Json} */ each) => each.vehicle === this.vehicle)
        ?? null;
      this.otherMs = this.told.at(message.told_ms, performance.now());
    }
    if (message.t === "config") this.configure(message);
  }

  /** @param {Json} config */
  configure(config) {
    say("vehicle-name", this.vehicle ?? config.vehicle);
    const side = this.side === "left" || this.side === "right" ? this.side : null;
    const mirror = side && config[`${side}_camera`];
    if (typeof mirror === "number") this.picture.camera = mirror;
    element("picture").classList.toggle("mirrored", side !== null);
    element("camera-words").dataset.t = side ? `camera.${side}` : "";
    say("camera-words", side ? named("camera", side) : `${this.picture.camera}`);
    this.video.iceServers = config.ice_servers ?? [];
    this.video.allow(side === null || typeof mirror === "number");
  }

  frameIt() {
    if (this.picture.ratio === null) return;
    element("picture").style.setProperty("--ratio", String(this.picture.ratio));
  }

  /** @param {number} nowMs */
  watch(nowMs) {
    if (!this.picture) return;
    const known = this.known(nowMs);
    const told = nowMs - this.otherMs <= TOLD_WITHIN_MS && this.lineUp(nowMs);
    const other = told ? this.other : null;
    const unwatched = this.isOther && told && other === null;
    const mode = this.isOther ? (other?.mode ?? null) : (known.vehicle?.mode ?? null);
    const machine = this.lineUp(nowMs) ? other : this.other;
    const stop = this.isOther ? machine?.stop : this.state.console?.stop;
    this.drawStop(stop ?? { unwatched }, nowMs);
    element("border").dataset.look = (mode && MODE_LOOKS[mode]) || "unknown";
    say("mode-words", mode ? named("mode", mode) : t("mode.unknown"));
    const clock = this.clock.known(nowMs);
    const captureUs = this.picture.captureUs;
    const ageMs = clock && captureUs > 0
      ? Math.max(0, nowMs + (clock.offsetUs - captureUs) / 1000) : null;
    const live = this.picture.liveness(nowMs, ageMs, known.console?.picture_max_age_ms);
    element("stage").dataset.live = live;
    say("no-image-words", live === "live" ? "" : named("live", live));
    const least = clock?.withinUs === null ? "≥" : "";
    const within = withinWords(clock?.withinUs ? clock.withinUs / 1000 : null);
    const words = [`${least}${ageMs?.toFixed(0)}`, within, "ms"].filter(Boolean).join(" ");
    say("age-words", ageMs === null ? "—" : words);
  }
}

open(() => new WingPage());
