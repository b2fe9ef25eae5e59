/** Finds the capture stamp of a presented picture of one camera, as the vehicle announces it. */

const ANNOUNCED_MAX = 256;
const RTP_TURN = 2 ** 32;
/** The RTP clock of video runs at 90 kHz (RFC 3551): 100/9 µs a tick. */
const US_PER_TICK = 100 / 9;

/**
 * The announcement of the picture gives it exactly. Where that was lost or is late, the RTP
 * timestamp, which runs by the capture clock, gives it to 12 µs from the newest announcement.
 */
export class StampBook {
  /**
   * @param {boolean} sure that every picture is of the stream that is announced. Where one of
   *   another stream may still be on its way to the screen, the RTP clock counts from the first
   *   picture on that is known by its number.
   */
  constructor(sure = true) {
    this.sure = sure;
    /** @type {Map<number, number>} frame counter → capture stamp, µs of the vehicle */
    this.announced = new Map();
    /** @type {{rtp: number, captureUs: number} | null} */
    this.anchor = null;
  }

  /**
   * @param {number} frame
   * @param {number} captureUs
   * @param {number} rtp
   */
  announce(frame, captureUs, rtp) {
    this.announced.set(frame, captureUs);
    if (this.announced.size > ANNOUNCED_MAX) {
      const oldest = this.announced.keys().next().value;
      if (oldest !== undefined) this.announced.delete(oldest);
    }
    this.anchor = { rtp, captureUs };
  }

  /** The capture stamp in µs, null before there is anything to tell it from.
   * @param {number} frame
   * @param {number | undefined} rtp as the browser reports it, where it does
   * @returns {number | null}
   */
  find(frame, rtp) {
    const exact = this.announced.get(frame);
    if (exact !== undefined) {
      this.sure = true;
      return exact;
    }
    if (!this.sure || this.anchor === null || rtp === undefined) return null;
    const ahead = (((rtp - this.anchor.rtp) % RTP_TURN) + RTP_TURN) % RTP_TURN;
    const ticks = ahead < RTP_TURN / 2 ? ahead : ahead - RTP_TURN;
    const captureUs = this.anchor.captureUs + Math.floor(ticks * US_PER_TICK);
    return captureUs > 0 ? captureUs : null;
  }
}
