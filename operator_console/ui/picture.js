/** One camera's picture on the page: what is shown of it, since when, and how old it is. */

import { guarded } from "/ui/fault.js";
import { StampBook } from "/ui/stamps.js";
import { SplitTimes } from "/ui/split.js";
import { StillWatch } from "/ui/still.js";
import { StripReader, cellPx } from "/ui/strip.js";

/** How often the vehicle is told what was seen of its picture. */
const SEEN_MS = 1000;
/** Silence after which a picture is drawn as frozen; the watch adds at most 50 ms. */
const FROZEN_MS = 200;
/** One that comes seldom, five times a second at least, is given so long. */
const SELDOM_FROZEN_MS = 250;
/** Pauses like the last one that may pass before it. */
const GAPS = 2;
const BLEED_PX = 2;

export class Picture {
  /**
   * @param {HTMLVideoElement} video
   * @param {number} camera
   * @param {import("/ui/clock.js").PageClock} clock of the vehicle, seen from the page
   */
  constructor(video, camera, clock) {
    this.video = video;
    this.camera = camera;
    this.clock = clock;
    /** The browser has put something on the screen. */
    this.onPainted = () => {};
    /** What is shown, or what is known of it, has become another.
     * @type {(picture: Picture) => void} */
    this.onPresented = () => {};
    this.strip = new StripReader();
    this.still = new StillWatch();
    this.split = new SplitTimes();
    this.stamps = new StampBook();
    this.toldSeenMs = -Infinity;
    /** How often the scene has changed, as the vehicle counts. */
    this.changes = 0;
    /** Of the picture on the screen, µs of the vehicle; of an older one while it is not known. */
    this.captureUs = 0;
    this.stamped = false;
    /** @type {number | null} */
    this.frame = null;
    this.advancedMs = -Infinity;
    /** Between the last two new things that it showed. */
    this.gapMs = Infinity;
    this.presentedMs = -Infinity;
    /** @type {number[]} */
    this.times = [];
    this.unreadable = 0;
    /** @type {number | null} */
    this.croppedFor = null;
    /** Width to height of what is seen; null before there is anything. @type {number | null} */
    this.ratio = null;
    this.arm();
  }

  /** What comes next is of another session: the vehicle may have booted, and counts anew. */
  restart() {
    this.stamps = new StampBook();
    this.captureUs = 0;
    this.frame = null;
    this.changes = 0;
    this.still.forget();
    this.split = new SplitTimes();
  }

  /** What comes next is of the same vehicle and goes on from here, by another stream. */
  otherWay() {
    this.stamps = new StampBook(false);
  }

  /** The vehicle has announced a picture of this camera.
   * @param {Record<string, any>} note
   */
  announced(note) {
    this.stamps.announce(note.f, note.t, note.r);
    if (Number.isSafeInteger(note.k)) this.changes = note.k;
    if ([note.b, note.d].every(Number.isSafeInteger)) {
      this.split.announce(
        note.f, { captureUs: note.t, begunUs: note.t + note.b, doneUs: note.t + note.d });
    }
    if (note.f !== this.frame || this.stamped) return;
    this.captureUs = note.t;
    this.stamped = true;
    this.onPresented(this);
  }

  /** Time since the picture last showed something new, ms.
   * @param {number} nowMs
   */
  silenceMs(nowMs) {
    return nowMs - this.advancedMs;
  }

  /** How it is drawn: one that moves may still be old, and one of unknown age is not live.
   * @param {number} nowMs
   * @param {number | null | undefined} ageMs since it was taken
   * @param {number | undefined} maxAgeMs age at which the machine stops
   * @returns {"none" | "frozen" | "unknown" | "old" | "live"}
   */
  liveness(nowMs, ageMs, maxAgeMs) {
    const silenceMs = this.silenceMs(nowMs);
    if (!Number.isFinite(silenceMs)) return "none";
    const patienceMs = Math.min(SELDOM_FROZEN_MS, Math.max(FROZEN_MS, GAPS * this.gapMs));
    if (silenceMs > patienceMs) return "frozen";
    if (typeof ageMs !== "number" || typeof maxAgeMs !== "number") return "unknown";
    return ageMs <= maxAgeMs ? "live" : "old";
  }

  /** Pictures presented in the last second.
   * @param {number} nowMs
   */
  fps(nowMs) {
    while (this.times.length && this.times[0] < nowMs - 1000) this.times.shift();
    return this.times.length;
  }

  arm() {
    this.video.requestVideoFrameCallback(
      guarded((nowMs, frame) => this.presented(nowMs, frame)),
    );
  }

  /** The browser has put a picture on the screen.
   * @param {number} nowMs
   * @param {VideoFrameCallbackMetadata} about
   */
  presented(nowMs, about) {
    this.arm();
    this.onPainted();
    this.crop();
    this.presentedMs = nowMs;
    const frame = this.strip.read(this.video);
    if (frame === null) {
      this.unreadable += 1;
      return;
    }
    const strip = cellPx(this.video.videoWidth);
    if (this.still.stuck(this.video, strip, this.changes, nowMs)) {
      // New numbers but the same picture: it keeps the stamp that it had, and grows old.
      this.frame = frame;
      this.stamped = true;
    } else if (frame !== this.frame) {
      this.frame = frame;
      this.gapMs = nowMs - this.advancedMs;
      this.advancedMs = nowMs;
      this.times.push(nowMs);
      const captureUs = this.stamps.find(frame, about.rtpTimestamp);
      this.stamped = captureUs !== null;
      // A stamp that has not come yet leaves the older one: the picture is said older, not newer.
      this.captureUs = captureUs ?? this.captureUs;
      this.measure(frame, about);
    }
    this.onPresented(this);
  }

  /** Note where the time of this picture went.
   * @param {number} frame
   * @param {VideoFrameCallbackMetadata} about
   */
  measure(frame, about) {
    const offsetUs = this.clock.offsetUs(about.presentationTime);
    if (offsetUs === null) return;
    const { receiveTime, processingDuration, presentationTime, expectedDisplayTime } = about;
    const decodingMs = processingDuration === undefined ? undefined : processingDuration * 1000;
    const shown = {
      receivedMs: receiveTime, decodingMs,
      presentedMs: presentationTime, displayMs: expectedDisplayTime,
    };
    this.split.present(frame, shown, offsetUs);
    this.split.sample(expectedDisplayTime, this.captureUs, offsetUs);
  }

  /** Let the age of what is shown count up to now: a freeze is part of it.
   * @param {number} nowMs
   */
  sample(nowMs) {
    const offsetUs = this.clock.offsetUs(nowMs);
    if (offsetUs !== null) this.split.sample(nowMs, this.captureUs, offsetUs);
  }

  /** Where the time goes, in one line.
   * @param {number} nowMs
   * @param {number} screenMs the monitor's own delay
   */
  details(nowMs, screenMs) {
    this.sample(nowMs);
    const withinUs = this.clock.known(nowMs)?.withinUs ?? null;
    return this.split.line(screenMs, withinUs === null ? null : withinUs / 1000) || "—";
  }

  /** What the vehicle is to be told of the last second; null when nothing is due.
   * @param {number} nowMs
   */
  seen(nowMs) {
    this.sample(nowMs);
    const age = this.split.percentiles();
    const split = this.split.medians();
    if (!age || !split || nowMs - this.toldSeenMs < SEEN_MS) return null;
    this.toldSeenMs = nowMs;
    const tenths = (/** @type {number[]} */ times) => times.map((ms) => Math.round(ms * 10) / 10);
    return { c: this.camera, seen: { age: tenths(age), split: tenths(split) } };
  }

  /** Keep the strip out of sight: the picture is grown and shifted by the strip's height, and by
   * the rows below it that coding and scaling mix with it. */
  crop() {
    const height = this.video.videoHeight;
    if (!height || this.croppedFor === height) return;
    this.croppedFor = height;
    const hidden = cellPx(this.video.videoWidth) + BLEED_PX;
    const share = hidden / height;
    this.video.style.height = `${100 / (1 - share)}%`;
    this.video.style.top = `${(-100 * share) / (1 - share)}%`;
    this.ratio = this.video.videoWidth / (height - hidden);
  }
}
