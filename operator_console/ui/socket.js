/** The line to the console on this computer: comes back by itself, keeps nothing for later. */

import { guarded, onFault } from "/ui/fault.js";

/** A console that tells nothing for so long does not answer. */
export const LINE_SILENT_MS = 500;
const RETRY_MS = 500;
const BUFFERED_MAX_BYTES = 16 * 1024;

/** Of a press nothing is dropped, and of these there are never more than a few on their way. */
const NEVER_DROPPED = new Set(["action", "seen"]);

/** @typedef {{t: string, [key: string]: any}} Message */

export class ConsoleSocket {
  /**
   * @param {string} token
   * @param {(message: Message) => void} onMessage
   * @param {(up: boolean) => void} onChange
   * @param {boolean} [watches] the page takes no driver's seat
   */
  constructor(token, onMessage, onChange, watches = false) {
    this.query = `token=${encodeURIComponent(token)}${watches ? "&watch=1" : ""}`;
    this.onMessage = onMessage;
    this.onChange = onChange;
    /** @type {WebSocket | null} */
    this.socket = null;
    this.ended = false;
    this.dropped = 0;
    onFault(() => this.end());
    this.connect();
  }

  connect() {
    const socket = new WebSocket(`ws://${location.host}/ws?${this.query}`);
    this.socket = socket;
    socket.addEventListener("open", guarded(() => this.onChange(true)));
    socket.addEventListener(
      "message",
      guarded((/** @type {MessageEvent} */ event) => this.take(JSON.parse(event.data))),
    );
    socket.addEventListener("close", guarded(() => this.lost(socket)));
  }

  /** The console is told of each state that was taken: it sends few ahead of that, and knows
   * by it how old what this page shows may be.
   * @param {Message} message
   */
  take(message) {
    this.onMessage(message);
    if (typeof message.n === "number") this.send({ t: "seen", n: message.n });
  }

  /** @param {WebSocket} socket */
  lost(socket) {
    if (this.socket !== socket) return;
    this.socket = null;
    this.onChange(false);
    if (!this.ended) setTimeout(guarded(() => this.connect()), RETRY_MS);
  }

  get up() {
    return this.socket?.readyState === WebSocket.OPEN;
  }

  /**
   * Send now or not at all. What a stalled line cannot take is dropped: the next is newer.
   * @param {Message} message
   * @returns {boolean} whether it was handed to the line
   */
  send(message) {
    const socket = this.socket;
    if (!socket || socket.readyState !== WebSocket.OPEN) return false;
    if (socket.bufferedAmount > BUFFERED_MAX_BYTES && !NEVER_DROPPED.has(message.t)) {
      this.dropped += 1;
      return false;
    }
    socket.send(JSON.stringify(message));
    return true;
  }

  end() {
    this.ended = true;
    this.socket?.close();
  }
}
