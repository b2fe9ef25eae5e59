/** Reads the frame counter that the vehicle drew into the picture's top rows. */

export const CELLS = 36;
const MIN_CONTRAST = 64;
const MIN_MARGIN = 0.2;

/** CRC-8/AUTOSAR (polynomial 0x2F, initial and final 0xFF) over three bytes.
 * @param {number[]} bytes
 * @returns {number}
 */
export function crc8h2f(bytes) {
  let value = 0xff;
  for (const byte of bytes) {
    value ^= byte;
    for (let bit = 0; bit < 8; bit += 1) {
      value = value & 0x80 ? ((value << 1) ^ 0x2f) & 0xff : (value << 1) & 0xff;
    }
  }
  return value ^ 0xff;
}

/** Edge of a cell in a picture that wide.
 * @param {number} widthPx
 */
export function cellPx(widthPx) {
  return widthPx >= 640 ? 16 : 8;
}

/** Mean of the centre of each cell, from RGBA rows of the strip.
 * @param {Uint8ClampedArray} rgba
 * @param {number} cell
 * @returns {Float64Array}
 */
function levelsOf(rgba, cell) {
  const width = CELLS * cell;
  const quarter = cell / 4;
  const levels = new Float64Array(CELLS);
  const count = (cell / 2) ** 2;
  for (let index = 0; index < CELLS; index += 1) {
    let sum = 0;
    for (let y = quarter; y < cell - quarter; y += 1) {
      for (let x = index * cell + quarter; x < (index + 1) * cell - quarter; x += 1) {
        sum += rgba[(y * width + x) * 4 + 1];
      }
    }
    levels[index] = sum / count;
  }
  return levels;
}

/** The frame counter in the strip, null when there is any doubt.
 * @param {Uint8ClampedArray} rgba of the strip alone: CELLS·cell wide, cell high
 * @param {number} cell
 * @returns {number | null}
 */
export function readStrip(rgba, cell) {
  const levels = levelsOf(rgba, cell);
  const white = (levels[0] + levels[2]) / 2;
  const black = (levels[1] + levels[3]) / 2;
  const contrast = white - black;
  if (contrast < MIN_CONTRAST) return null;
  const middle = (white + black) / 2;
  /** @type {number[]} */
  const bytes = [0, 0, 0, 0];
  for (let index = 0; index < CELLS; index += 1) {
    const above = levels[index] - middle;
    if (Math.abs(above) < MIN_MARGIN * contrast) return null;
    const bit = above > 0 ? 1 : 0;
    if (index < 4) {
      if (bit !== (index % 2 === 0 ? 1 : 0)) return null;
    } else {
      const at = index - 4;
      bytes[at >> 3] = (bytes[at >> 3] << 1) | bit;
    }
  }
  if (crc8h2f(bytes.slice(0, 3)) !== bytes[3]) return null;
  return (bytes[0] << 16) | (bytes[1] << 8) | bytes[2];
}

/** Reads strips off a video element through one tiny canvas. */
export class StripReader {
  constructor() {
    const canvas = document.createElement("canvas");
    canvas.width = CELLS * 16;
    canvas.height = 16;
    const context = canvas.getContext("2d", { willReadFrequently: true, alpha: false });
    if (!context) throw new Error("no 2d canvas");
    this.context = context;
  }

  /**
   * @param {HTMLVideoElement} video
   * @returns {number | null}
   */
  read(video) {
    const cell = cellPx(video.videoWidth);
    const width = CELLS * cell;
    if (video.videoWidth < width || video.videoHeight < cell) return null;
    this.context.drawImage(video, 0, 0, width, cell, 0, 0, width, cell);
    return readStrip(this.context.getImageData(0, 0, width, cell).data, cell);
  }
}
