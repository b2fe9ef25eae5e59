/** The vehicle's pictures by WebRTC: one session for all cameras that the page shows. */

import { guarded, onFault } from "/ui/fault.js";
import { StandbyWatch } from "/ui/standby.js";

const WATCH_MS = 50;
const ANSWER_PATIENCE_MS = 1000;
const CONNECT_PATIENCE_MS = 3000;
/** ICE, DTLS and the first key frame take about so many round trips (RFC 8445, RFC 6347). */
const CONNECT_TRIPS = 8;
const SILENCE_MS = 1000;
const RESTART_GAP_MS = 700;
const GATHER_MS = 300;
/** With a TURN server: its candidate takes round trips. */
const GATHER_RELAYED_MS = 2000;
/** A peer connection with what belongs to it.
 * @typedef {{peer: RTCPeerConnection, id: string, channel: RTCDataChannel | null}} Session
 * @typedef {Map<import("/ui/picture.js").Picture, MediaStream>} Streams
 */

export class LiveVideo {
  /**
   * @param {import("/ui/picture.js").Picture[]} pictures of the cameras, the front one first
   * @param {(message: {t: string, [key: string]: any}) => void} send
   * @param {(picture: import("/ui/picture.js").Picture) => void} onPresented
   * @param {() => void} onEnded what was presented last belongs to no session any more
   * @param {import("/ui/clock.js").PageClock} clock of the vehicle, seen from the page
   */
  constructor(pictures, send, onPresented, onEnded, clock) {
    /** @type {import("/ui/picture.js").Picture[]} */
    this.pictures = [];
    this.send = send;
    this.onPresented = onPresented;
    this.onEnded = onEnded;
    this.clock = clock;
    /** @type {RTCDataChannel | null} */
    this.channel = null;
    /** The session before this one, while the new one is not there yet: its link may come back.
     * @type {Session | null} */
    this.spare = null;
    /** Of the new session, while the spare one is still shown. @type {Streams} */
    this.coming = new Map();
    /** Keep a second session at hand, on which nothing is sent until it is asked. */
    this.keepsStandby = false;
    /** @type {(Session & {streams: Streams}) | null} */
    this.standby = null;
    this.standbyWatch = new StandbyWatch();
    /** @type {RTCIceServer[]} */
    this.iceServers = [];
    /** @type {RTCPeerConnection | null} */
    this.peer = null;
    this.id = "";
    this.startedMs = -Infinity;
    this.answeredMs = -Infinity;
    this.answerTookMs = 0;
    this.allowed = false;
    this.watch = setInterval(guarded(() => this.supervise(performance.now())), WATCH_MS);
    onFault(() => this.end());
    this.ask(pictures);
  }

  /** Ask for these cameras, from the next session on.
   * @param {import("/ui/picture.js").Picture[]} pictures of the cameras, the front one first
   */
  ask(pictures) {
    this.endStandby();
    this.pictures = pictures;
    for (const picture of pictures) {
      picture.onPainted = () => {
        this.revive();
        this.standbyWatch.painted(performance.now());
      };
      picture.onPresented = (each) => this.presented(each);
    }
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
    this.standby?.peer.close();
    this.standby = null;
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

  endStandby() {
    if (this.standby) this.endSession(this.standby);
    this.standby = null;
  }

  /** The old session shows pictures again: the new one is not needed. */
  revive() {
    if (!this.spare) return;
    if (this.peer) this.endSession({ peer: this.peer, id: this.id, channel: this.channel });
    ({ peer: this.peer, id: this.id, channel: this.channel } = this.spare);
    this.spare = null;
    this.coming.clear();
    this.answeredMs = performance.now();
  }

  /** @param {RTCPeerConnection} peer */
  stateChanged(peer) {
    if (this.peer !== peer || peer.connectionState !== "connected") return;
    this.endSpare();
    for (const [picture, stream] of this.coming) play(picture, stream);
    this.coming.clear();
  }

  /** @param {number} nowMs */
  supervise(nowMs) {
    if (!this.allowed || document.visibilityState !== "visible") return;
    if (this.keepsStandby) this.mindStandby(nowMs);
    if (nowMs - this.startedMs < RESTART_GAP_MS) return;
    if (this.dead(nowMs)) void this.start(nowMs);
  }

  /** Set the standby up, and turn to it when the pictures stop.
   * @param {number} nowMs
   */
  mindStandby(nowMs) {
    const ready = isReady(this.standby);
    if (!ready && this.standbyWatch.builds(nowMs)) void this.standBy();
    const isOnlyWay = ready && isOver(this.peer);
    if (isOnlyWay) this.takeOver();
    if (!this.standbyWatch.asks(nowMs) && !isOnlyWay) return;
    // With no standby: its pictures may have been asked for elsewhere, where none came.
    const channel = ready && this.standby ? this.standby.channel : this.channel;
    if (channel?.readyState !== "open" || channel.bufferedAmount > 0) return;
    channel.send(JSON.stringify({ show: true }));
  }

  /** Begin a session beside the one that is shown. */
  async standBy() {
    this.endStandby();
    /** @type {Streams} */
    const streams = new Map();
    const session = this.open((picture, stream) => streams.set(picture, stream));
    const standby = { ...session, streams };
    this.standby = standby;
    await this.offer(session, { standby: true }, () => this.standby === standby);
  }

  /** The vehicle sends on the standby: show that, and leave the session that was shown. */
  takeOver() {
    if (!this.standby) return;
    const { streams, ...session } = this.standby;
    this.standby = null;
    if (this.peer) this.endSession({ peer: this.peer, id: this.id, channel: this.channel });
    ({ peer: this.peer, id: this.id, channel: this.channel } = session);
    this.standbyWatch.turned();
    for (const picture of this.pictures) picture.otherWay();
    for (const [picture, stream] of streams) play(picture, stream);
  }

  /** @param {number} nowMs */
  dead(nowMs) {
    if (isOver(this.peer)) return true;
    const sinceStart = nowMs - this.startedMs;
    if (this.answeredMs < this.startedMs) return sinceStart > ANSWER_PATIENCE_MS;
    const presentedMs = Math.max(...this.pictures.map((each) => each.presentedMs));
    if (presentedMs > this.startedMs) return nowMs - presentedMs > SILENCE_MS;
    return sinceStart > CONNECT_PATIENCE_MS + CONNECT_TRIPS * this.answerTookMs;
  }

  /** Begin a new peer connection; the last picture stays, hatched, until the new one comes.
   * @param {number} nowMs
   */
  async start(nowMs) {
    this.startedMs = nowMs;
    this.setAside();
    this.endStandby();
    this.coming.clear();
    const session = this.open((picture, stream) => this.show(session.peer, picture, stream));
    ({ peer: this.peer, id: this.id, channel: this.channel } = session);
    for (const picture of this.pictures) picture.restart();
    this.clock.forget();
    // The vehicle may have booted in between: its clock and its counters begin anew.
    this.onEnded();
    await this.offer(session, {}, () => this.peer === session.peer);
  }

  /** Make a peer connection for the pictures.
   * @param {(picture: import("/ui/picture.js").Picture, stream: MediaStream) => void} onStream
   * @returns {Session}
   */
  open(onStream) {
    const peer = new RTCPeerConnection(
      { iceServers: this.iceServers, bundlePolicy: "max-bundle" });
    const shown = new Map(this.pictures.map((picture) => {
      const transceiver = peer.addTransceiver("video", { direction: "recvonly" });
      preferH264(transceiver);
      leastDelay(transceiver.receiver);
      return [transceiver, picture];
    }));
    const channel = peer.createDataChannel("frames", { ordered: false, maxRetransmits: 0 });
    channel.addEventListener(
      "message",
      guarded((/** @type {MessageEvent} */ event) => this.noteStamp(channel, event.data)),
    );
    peer.addEventListener("connectionstatechange", guarded(() => this.stateChanged(peer)));
    peer.addEventListener(
      "track",
      guarded((/** @type {RTCTrackEvent} */ event) => {
        const picture = shown.get(event.transceiver);
        if (picture) onStream(picture, new MediaStream([event.track]));
      }),
    );
    return { peer, id: crypto.randomUUID(), channel };
  }

  /** Offer a session to the vehicle.
   * @param {Session} session
   * @param {{standby?: boolean}} more
   * @param {() => boolean} wanted whether it still is
   */
  async offer({ peer, id }, more, wanted) {
    try {
      await peer.setLocalDescription(await peer.createOffer());
      await gathered(peer, this.iceServers);
    } catch (error) {
      if (!wanted()) return;
      throw error;
    }
    if (!wanted() || peer.signalingState === "closed") return;
    const sdp = peer.localDescription?.sdp;
    const cameras = this.pictures.map((each) => each.camera);
    if (sdp) this.send({ t: "offer", id, sdp, cameras, ...more });
  }

  /** Take in the vehicle's answer, already proven by the console.
   * @param {string} id
   * @param {string} sdp
   */
  async answer(id, sdp) {
    const isStandby = id === this.standby?.id;
    const peer = isStandby ? this.standby?.peer : id === this.id ? this.peer : null;
    if (peer?.signalingState !== "have-local-offer") return;
    if (!isStandby) {
      this.answeredMs = performance.now();
      this.answerTookMs = this.answeredMs - this.startedMs;
    }
    try {
      await peer.setRemoteDescription({ type: "answer", sdp });
    } catch {
      // An answer that does not fit costs this attempt; the watch begins the next.
      peer.close();
    }
  }

  /**
   * @param {RTCPeerConnection} peer
   * @param {import("/ui/picture.js").Picture} picture
   * @param {MediaStream} stream
   */
  show(peer, picture, stream) {
    if (this.peer !== peer) return;
    if (this.spare) this.coming.set(picture, stream);
    else play(picture, stream);
  }

  /** A camera's picture has come onto the screen.
   * @param {import("/ui/picture.js").Picture} picture
   */
  presented(picture) {
    this.onPresented(picture);
    if (this.channel?.readyState !== "open" || this.channel.bufferedAmount > 0) return;
    const seen = picture.seen(performance.now());
    if (seen) this.channel.send(JSON.stringify(seen));
  }

  /**
   * @param {RTCDataChannel} channel
   * @param {unknown} text
   */
  noteStamp(channel, text) {
    const note = typeof text === "string" ? parsed(text) : null;
    const picture = this.pictures.find((each) => each.camera === note?.c);
    if (!note || !picture) return;
    if (![note.f, note.t, note.r].every(Number.isSafeInteger)) return;
    const nowMs = performance.now();
    if (channel === this.standby?.channel) this.takeOver();
    if (channel === this.channel) this.standbyWatch.heard(nowMs);
    echo(channel, note, nowMs);
    if (Number.isSafeInteger(note.s)) this.clock.arrived(note.t + note.s, nowMs);
    if (Number.isSafeInteger(note.u)) this.clock.received(note.u, nowMs);
    picture.announced(note);
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

/**
 * @param {import("/ui/picture.js").Picture} picture
 * @param {MediaStream} stream
 */
function play(picture, stream) {
  picture.video.srcObject = stream;
  void picture.video.play().catch(() => undefined);
}

/** @param {RTCPeerConnection | null} peer */
function isOver(peer) {
  return !peer || ["failed", "closed"].includes(peer.connectionState);
}

/** Whether the vehicle can be spoken to there, as far as is known.
 * @param {Session | null} session
 */
function isReady(session) {
  return session?.peer.connectionState === "connected" && session.channel?.readyState === "open";
}

/** @param {RTCPeerConnection} peer */
function wasConnected(peer) {
  return ["connected", "disconnected"].includes(peer.connectionState);
}

/** Host candidates take milliseconds, and what is late is left out.
 * @param {RTCPeerConnection} peer
 * @param {RTCIceServer[]} iceServers
 * @returns {Promise<void>}
 */
export function gathered(peer, iceServers) {
  if (peer.iceGatheringState === "complete") return Promise.resolve();
  const patienceMs = iceServers.length ? GATHER_RELAYED_MS : GATHER_MS;
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, patienceMs);
    peer.addEventListener("icegatheringstatechange", () => {
      if (peer.iceGatheringState !== "complete") return;
      clearTimeout(timer);
      resolve();
    });
  });
}
