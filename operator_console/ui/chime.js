/** The sound of alerts, made here: no file, no voice from elsewhere. Its loss is shown. */

import { onFault } from "/ui/fault.js";
import { language } from "/ui/text.js";

/** A lasting sound begins again this long after it began, ms. */
export const CHIME_MS = 2000;

/** Pitch and beginning of each beep, Hz and s. @type {Record<string, Array<[number, number]>>} */
const BEEPS = {
  emergency: [[980, 0], [660, 0.2], [980, 0.4], [660, 0.6], [980, 0.8], [660, 1.0]],
  alarm: [[880, 0], [880, 0.25], [880, 0.5]],
  warning: [[660, 0], [660, 0.3]],
};
const BEEP_S = 0.16;
const LOUDNESS = 0.25;

export class Chime {
  constructor() {
    /** @type {AudioContext | null} */
    this.context = null;
    onFault(() => this.end());
  }

  /** A browser gives sound only after a key or a press. To be called as it is let go: the first
   * time the page stands for up to 0.2 s, and a key that goes down may be a STOP. */
  wake() {
    this.context ??= new AudioContext();
    if (this.context.state !== "running") void this.context.resume().catch(() => undefined);
  }

  get audible() {
    return this.context?.state === "running";
  }

  /** @param {string} level */
  play(level) {
    const context = this.context;
    if (!context || !this.audible) return;
    for (const [pitch_hz, from_s] of BEEPS[level] ?? []) {
      const tone = new OscillatorNode(context, { type: "triangle", frequency: pitch_hz });
      const volume = new GainNode(context, { gain: LOUDNESS });
      tone.connect(volume).connect(context.destination);
      tone.start(context.currentTime + from_s);
      tone.stop(context.currentTime + from_s + BEEP_S);
    }
  }

  end() {
    void this.context?.close();
    this.context = null;
  }
}

/** Say a text aloud with a voice of this computer; one from the network is never asked.
 * @param {string} text
 * @returns {boolean} whether there is such a voice
 */
export function speak(text) {
  const voices = globalThis.speechSynthesis?.getVoices() ?? [];
  const voice = voices.find((each) => each.localService && each.lang.startsWith(language()));
  if (!voice) return false;
  const words = new SpeechSynthesisUtterance(text);
  words.voice = voice;
  words.lang = voice.lang;
  speechSynthesis.cancel();
  speechSynthesis.speak(words);
  return true;
}
