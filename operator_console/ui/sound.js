/** The machine's sound, by a peer connection of its own; off until the driver asks for it.
 *
 * It is a help and no more: whatever goes wrong here stays here, and neither the picture nor the
 * page's word for it depends on it.
 */

import { onFault } from "/ui/fault.js";
import { named } from "/ui/text.js";
import { gathered } from "/ui/video.js";

const WATCH_MS = 250;
/** Sound comes each 20 ms. */
const SILENCE_MS = 1000;
/** From the offer to the first sound; later it is said to be lost, and tried again. */
const PATIENCE_MS = 3000;

/** @typedef {"off" | "waits" | "on" | "lost"} SoundState */

export class LiveSound {
  /**
   * @param {HTMLButtonElement} button
   * @param {HTMLAudioElement} audio
   * @param {(message: {t: string, [key: string]: any}) => void} send
   */
  constructor(button, audio, send) {
    this.button = button;
    this.audio = audio;
    this.send = send;
    /** @type {RTCIceServer[]} */
    this.iceServers = [];
    this.allowed = false;
    this.wanted = false;
    /** @type {RTCPeerConnection | null} */
    this.peer = null;
    this.id = "";
    this.startedMs = -Infinity;
    this.heardMs = -Infinity;
    this.tries = 0;
    this.drawn = "";
    button.addEventListener("click", harmless((/** @type {MouseEvent} */ event) => {
      this.toggle();
      // A pointer's click leaves no focus behind: the keys are the machine's.
      if (event.detail > 0) button.blur();
    }));
    const watch = setInterval(harmless(() => this.supervise(performance.now())), WATCH_MS);
    onFault(() => {
      clearInterval(watch);
      this.peer?.close();
    });
    this.draw();
  }

  /** @param {boolean} offered whether the machine is said to have a microphone */
  offer(offered) {
    this.button.hidden = !offered;
    if (!offered) this.stop();
  }

  /** Whether the console can carry an offer now.
   * @param {boolean} allowed
   */
  allow(allowed) {
    this.allowed = allowed;
  }

  toggle() {
    if (this.wanted) this.stop();
    else {
      this.wanted = true;
      this.startedMs = -Infinity;
      this.heardMs = -Infinity;
      this.tries = 0;
      this.supervise(performance.now());
    }
  }

  stop() {
    this.wanted = false;
    this.end();
    this.draw();
  }

  end() {
    if (!this.peer) return;
    this.peer.close();
    this.peer = null;
    this.audio.srcObject = null;
    this.send({ t: "bye", id: this.id });
  }

  /** @param {number} nowMs */
  supervise(nowMs) {
    const state = this.state;
    if (state === "on") {
      this.heardMs = nowMs;
      this.tries = 0;
    }
    const sinceMs = nowMs - Math.max(this.startedMs, this.heardMs);
    if (this.wanted && this.allowed && sinceMs > PATIENCE_MS) void this.start(nowMs).catch(report);
    this.draw();
  }

  /** @returns {SoundState} */
  get state() {
    if (!this.wanted) return "off";
    const source = this.peer?.getReceivers()[0]?.getSynchronizationSources()[0];
    const nowMs = performance.timeOrigin + performance.now();
    if (source && nowMs - source.timestamp < SILENCE_MS) return "on";
    return this.tries > 1 || this.heardMs > this.startedMs ? "lost" : "waits";
  }

  /** @param {number} nowMs */
  async start(nowMs) {
    this.end();
    this.startedMs = nowMs;
    this.tries += 1;
    const peer = new RTCPeerConnection({ iceServers: this.iceServers });
    const id = crypto.randomUUID();
    this.peer = peer;
    this.id = id;
    peer.addTransceiver("audio", { direction: "recvonly" });
    peer.addEventListener("track", harmless((/** @type {RTCTrackEvent} */ event) => {
      if (this.peer !== peer) return;
      this.audio.srcObject = new MediaStream([event.track]);
      void this.audio.play().catch(report);
    }));
    await peer.setLocalDescription(await peer.createOffer());
    await gathered(peer, this.iceServers);
    const sdp = peer.localDescription?.sdp;
    if (this.peer === peer && sdp) this.send({ t: "offer", id, sdp, cameras: [] });
  }

  /** Take in the vehicle's answer, already proven by the console; that of another session is not.
   * @param {string} id
   * @param {string} sdp
   */
  answer(id, sdp) {
    if (!this.peer || id !== this.id || this.peer.signalingState !== "have-local-offer") return;
    void this.peer.setRemoteDescription({ type: "answer", sdp }).catch(report);
  }

  draw() {
    const state = this.state;
    const words = named("sound", state);
    if (words === this.drawn) return;
    this.drawn = words;
    this.button.dataset.sound = state;
    this.button.setAttribute("aria-pressed", String(this.wanted));
    this.button.textContent = words;
  }
}

/** @param {unknown} error */
function report(error) {
  console.warn("sound", error);
}

/**
 * Return `work` so that what it throws is told and ends nothing.
 * @template {unknown[]} A
 * @param {(...args: A) => void} work
 * @returns {(...args: A) => void}
 */
function harmless(work) {
  return (...args) => {
    try {
      work(...args);
    } catch (error) {
      report(error);
    }
  };
}
