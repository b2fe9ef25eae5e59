/** The live picture: WebRTC in, identity strip read, and a report only of what was presented. */

import { guarded, onFault } from "/ui/fault.js";
import { StampBook } from "/ui/stamps.js";
import { SplitTimes } from "/ui/split.js";
import { StillWatch } from "/ui/still.js";
import { StripReader, cellPx } from "/ui/strip.js";

const WATCH_MS = 100;
const ANSWER_PATIENCE_MS = 1000;
const CONNECT_PATIENCE_MS = 3000;
/** ICE, DTLS and the first key frame take about so many round trips (RFC 8445, RFC 6347). */
const CONNECT_TRIPS = 8;
const SILENCE_MS = 1000;
const RESTART_GAP_MS = 700;
/** How often the vehicle is told what was seen of its picture. */
const SEEN_MS = 1000;
const GATHER_MS = 300;
/** With a TURN server: its candidate takes round trips. */
const GATHER_RELAYED_MS = 2000;
/** Silence after which a picture is drawn as frozen; the watch adds at most 50 ms. */
const FROZEN_MS = 250;

/** How a picture is drawn: one that moves may still be old, and one of unknown age is not live.
 * @param {number} silenceMs since it last showed something new
 * @param {number | null | undefined} ageMs since it was taken
 * @param {number | undefined} maxAgeMs age at which the machine stops
 * @returns {"none" | "frozen" | "unknown" | "old" | "live"}
 */
export function liveness(silenceMs, ageMs, maxAgeMs) {
  if (!Number.isFinite(silenceMs)) return "none";
  if (silenceMs > FROZEN_MS) return "frozen";
  if (typeof ageMs !== "number" || typeof maxAgeMs !== "number") return "unknown";
  return ageMs <= maxAgeMs ? "live" : "old";
}

/** A peer connection with what belongs to it.
 * @typedef {{peer: RTCPeerConnection, id: string, channel: RTCDataChannel | null}} Session
 */

/**
 * @typedef {object} Presented
 * @property {number} frame
 * @property {number} captureUs 0 when unknown
 */

export class LiveVideo {
  /**
   * @param {HTMLVideoElement} video
   * @param {number} camera
   * @param {(message: {t: string, [key: string]: any}) => void} send
   * @param {(presented: Presented) => void} onPresented
   * @param {() => void} onEnded what was presented last belongs to no session any more
   * @param {import("/ui/clock.js").PageClock} clock of the vehicle, seen from the page
   */
  constructor(video, camera, send, onPresented, onEnded, clock) {
    this.video = video;
    this.camera = camera;
    this.send = send;
    this.onPresented = onPresented;
    this.onEnded = onEnded;
    this.clock = clock;
    this.split = new SplitTimes();
    this.toldSeenMs = -Infinity;
    /** @type {RTCDataChannel | null} */
    this.channel = null;
    /** The session before this one, while the new one is not there yet: its link may come back.
     * @type {Session | null} */
    this.spare = null;
    /** Of the new session, while the spare one is still shown. @type {MediaStream | null} */
    this.coming = null;
    /** @type {RTCIceServer[]} */
    this.iceServers = [];
    this.strip = new StripReader();
    this.still = new StillWatch();
    /** How often the scene has changed, as the vehicle counts. */
    this.changes = 0;
    /** @type {RTCPeerConnection | null} */
    this.peer = null;
    this.id = "";
    this.stamps = new StampBook();
    /** Of the picture on the screen, µs of the vehicle; of an older one while it is not known. */
    this.captureUs = 0;
    this.stamped = false;
    /** @type {number | null} */
    this.frame = null;
    this.advancedMs = -Infinity;
    this.presentedMs = -Infinity;
    this.startedMs = -Infinity;
    this.answeredMs = -Infinity;
    this.answerTookMs = 0;
    /** @type {number[]} */
    this.times = [];
    this.unreadable = 0;
    this.allowed = false;
    this.codec = "";
    /** @type {number | null} */
    this.croppedFor = null;
    this.watch = setInterval(guarded(() => this.supervise(performance.now())), WATCH_MS);
    onFault(() => this.end());
    this.arm();
  }

  /** Whether the console can carry an offer now.
   * @param {boolean} allowed
   */
  allow(allowed) {
    this.allowed = allowed;
    if (allowed) this.startedMs = -Infinity;
  }

  end() {
    clearInterval(this.watch);
    this.peer?.close();
    this.peer = null;
    this.spare?.peer.close();
    this.spare = null;
  }

  /** Keep a session that was connected until the new one is; end any other. */
  setAside() {
    if (!this.peer) return;
    const current = { peer: this.peer, id: this.id, channel: this.channel };
    if (this.spare && !wasConnected(this.spare.peer)) this.endSpare();
    if (!this.spare && wasConnected(this.peer)) this.spare = current;
    else this.endSession(current);
  }

  /** @param {Session} session */
  endSession(session) {
    session.peer.close();
    this.send({ t: "bye", id: session.id });
  }

  endSpare() {
    if (this.spare) this.endSession(this.spare);
    this.spare = null;
  }

  /** The old session shows pictures again: the new one is not needed. */
  revive() {
    if (!this.spare) return;
    if (this.peer) this.endSession({ peer: this.peer, id: this.id, channel: this.channel });
    ({ peer: this.peer, id: this.id, channel: this.channel } = this.spare);
    this.spare = null;
    this.coming = null;
    this.answeredMs = performance.now();
  }

  /** @param {RTCPeerConnection} peer */
  stateChanged(peer) {
    if (this.peer !== peer || peer.connectionState !== "connected") return;
    this.endSpare();
    if (this.coming) this.video.srcObject = this.coming;
    this.coming = null;
  }

  /** Time since the picture last showed something new, ms.
   * @param {number} nowMs
   */
  silenceMs(nowMs) {
    return nowMs - this.advancedMs;
  }

  /** Pictures presented in the last second.
   * @param {number} nowMs
   */
  fps(nowMs) {
    while (this.times.length && this.times[0] < nowMs - 1000) this.times.shift();
    return this.times.length;
  }

  /** @param {number} nowMs */
  supervise(nowMs) {
    if (!this.allowed || document.visibilityState !== "visible") return;
    if (nowMs - this.startedMs < RESTART_GAP_MS) return;
    if (this.dead(nowMs)) void this.start(nowMs);
  }

  /** @param {number} nowMs */
  dead(nowMs) {
    const peer = this.peer;
    if (!peer || ["failed", "closed"].includes(peer.connectionState)) return true;
    const sinceStart = nowMs - this.startedMs;
    if (this.answeredMs < this.startedMs) return sinceStart > ANSWER_PATIENCE_MS;
    if (this.presentedMs > this.startedMs) return nowMs - this.presentedMs > SILENCE_MS;
    return sinceStart > CONNECT_PATIENCE_MS + CONNECT_TRIPS * this.answerTookMs;
  }

  /** Begin a new peer connection; the last picture stays, hatched, until the new one comes.
   * @param {number} nowMs
   */
  async start(nowMs) {
    this.startedMs = nowMs;
    this.setAside();
    this.coming = null;
    const peer = new RTCPeerConnection(
      { iceServers: this.iceServers, bundlePolicy: "max-bundle" });
    const id = crypto.randomUUID();
    this.peer = peer;
    this.id = id;
    this.stamps = new StampBook();
    this.captureUs = 0;
    this.frame = null;
    this.changes = 0;
    this.still.forget();
    this.split = new SplitTimes();
    this.clock.forget();
    // The vehicle may have booted in between: its clock and its counters begin anew.
    this.onEnded();
    const transceiver = peer.addTransceiver("video", { direction: "recvonly" });
    preferH264(transceiver);
    leastDelay(transceiver.receiver);
    const channel = peer.createDataChannel("frames", { ordered: false, maxRetransmits: 0 });
    this.channel = channel;
    channel.addEventListener(
      "message",
      guarded((/** @type {MessageEvent} */ event) => this.noteStamp(channel, event.data)),
    );
    peer.addEventListener("connectionstatechange", guarded(() => this.stateChanged(peer)));
    peer.addEventListener(
      "track",
      guarded((/** @type {RTCTrackEvent} */ event) => this.show(peer, event)),
    );
    try {
      await peer.setLocalDescription(await peer.createOffer());
      await gathered(peer, this.iceServers.length ? GATHER_RELAYED_MS : GATHER_MS);
    } catch (error) {
      if (this.peer !== peer) return;
      throw error;
    }
    if (this.peer !== peer || peer.signalingState === "closed") return;
    const sdp = peer.localDescription?.sdp;
    if (sdp) this.send({ t: "offer", id, sdp, cameras: [this.camera] });
  }

  /** Take in the vehicle's answer, already proven by the console.
   * @param {string} id
   * @param {string} sdp
   */
  async answer(id, sdp) {
    const peer = this.peer;
    if (!peer || id !== this.id || peer.signalingState !== "have-local-offer") return;
    this.answeredMs = performance.now();
    this.answerTookMs = this.answeredMs - this.startedMs;
    try {
      await peer.setRemoteDescription({ type: "answer", sdp });
    } catch {
      // An answer that does not fit costs this attempt; the watch begins the next.
      peer.close();
    }
  }

  /**
   * @param {RTCPeerConnection} peer
   * @param {RTCTrackEvent} event
   */
  show(peer, event) {
    if (this.peer !== peer) return;
    const stream = event.streams[0] ?? new MediaStream([event.track]);
    if (this.spare) this.coming = stream;
    else this.video.srcObject = stream;
    void this.video.play().catch(() => undefined);
  }

  /**
   * @param {RTCDataChannel} channel
   * @param {unknown} text
   */
  noteStamp(channel, text) {
    const note = typeof text === "string" ? parsed(text) : null;
    if (!note || note.c !== this.camera) return;
    if (![note.f, note.t, note.r].every(Number.isSafeInteger)) return;
    const nowMs = performance.now();
    echo(channel, note, nowMs);
    if (Number.isSafeInteger(note.s)) this.clock.arrived(note.t + note.s, nowMs);
    if (Number.isSafeInteger(note.u)) this.clock.received(note.u, nowMs);
    this.stamps.announce(note.f, note.t, note.r);
    if (Number.isSafeInteger(note.k)) this.changes = note.k;
    if ([note.b, note.d].every(Number.isSafeInteger)) {
      this.split.announce(
        note.f, { captureUs: note.t, begunUs: note.t + note.b, doneUs: note.t + note.d });
    }
    if (note.f !== this.frame || this.stamped) return;
    this.captureUs = note.t;
    this.stamped = true;
    this.report();
  }

  report() {
    if (this.frame === null) return;
    this.onPresented({ frame: this.frame, captureUs: this.captureUs });
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
    this.revive();
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
      this.advancedMs = nowMs;
      this.times.push(nowMs);
      const captureUs = this.stamps.find(frame, about.rtpTimestamp);
      this.stamped = captureUs !== null;
      // A stamp that has not come yet leaves the older one: the picture is said older, not newer.
      this.captureUs = captureUs ?? this.captureUs;
      this.measure(frame, about);
    }
    this.report();
    this.tellSeen(nowMs);
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

  /** @param {number} nowMs */
  tellSeen(nowMs) {
    this.sample(nowMs);
    const age = this.split.percentiles();
    const split = this.split.medians();
    if (!age || !split || nowMs - this.toldSeenMs < SEEN_MS) return;
    if (this.channel?.readyState !== "open" || this.channel.bufferedAmount > 0) return;
    this.toldSeenMs = nowMs;
    const tenths = (/** @type {number[]} */ times) => times.map((ms) => Math.round(ms * 10) / 10);
    this.channel.send(JSON.stringify(
      { c: this.camera, seen: { age: tenths(age), split: tenths(split) } }));
  }

  /** Keep the strip out of sight: the picture is grown and shifted by the strip's height. */
  crop() {
    const height = this.video.videoHeight;
    if (!height || this.croppedFor === height) return;
    this.croppedFor = height;
    const share = cellPx(this.video.videoWidth) / height;
    this.video.style.height = `${100 / (1 - share)}%`;
    this.video.style.top = `${(-100 * share) / (1 - share)}%`;
    const box = this.video.parentElement;
    const shown = height - cellPx(this.video.videoWidth);
    box?.style.setProperty("--ratio", String(this.video.videoWidth / shown));
  }
}

/** Answer at once, whatever becomes of the picture: the vehicle tells a queue from a late echo.
 * @param {RTCDataChannel} channel
 * @param {{c: number, f: number}} note
 * @param {number} nowMs by which the vehicle tells how its clock stands to the page's
 */
function echo(channel, note, nowMs) {
  if (channel.readyState !== "open" || channel.bufferedAmount > 0) return;
  channel.send(JSON.stringify({ c: note.c, f: note.f, p: Math.round(nowMs * 1000) }));
}

/** @param {string} text */
function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** @param {RTCRtpTransceiver} transceiver */
function preferH264(transceiver) {
  const codecs = RTCRtpReceiver.getCapabilities("video")?.codecs ?? [];
  const isH264 = (/** @type {{mimeType: string}} */ codec) => codec.mimeType === "video/H264";
  if (codecs.some(isH264)) {
    transceiver.setCodecPreferences([
      ...codecs.filter(isH264),
      ...codecs.filter((codec) => !isH264(codec)),
    ]);
  }
}

/** Ask for no jitter buffer; browsers that do not know the wish show the picture all the same.
 * @param {RTCRtpReceiver} receiver
 */
function leastDelay(receiver) {
  try {
    receiver.jitterBufferTarget = 0;
  } catch (error) {
    console.warn("jitterBufferTarget not taken", error);
  }
}

/** @param {RTCPeerConnection} peer */
function wasConnected(peer) {
  return ["connected", "disconnected"].includes(peer.connectionState);
}

/** Host candidates take milliseconds, and what is late is left out.
 * @param {RTCPeerConnection} peer
 * @param {number} patienceMs
 * @returns {Promise<void>}
 */
function gathered(peer, patienceMs) {
  if (peer.iceGatheringState === "complete") return Promise.resolve();
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, patienceMs);
    peer.addEventListener("icegatheringstatechange", () => {
      if (peer.iceGatheringState !== "complete") return;
      clearTimeout(timer);
      resolve();
    });
  });
}
