/** The words of the pages in the language that the person at the screen chose. */

import { EN } from "/ui/words_en.js";
import { ZH } from "/ui/words_zh.js";

/** @typedef {keyof typeof EN} Key */
/** @typedef {"en" | "zh"} Language */
/** Words of the console's in both languages.
 * @typedef {{en: string, zh: string}} Both */

/** @type {Record<Language, Record<Key, string>>} */
const TABLES = { en: EN, zh: ZH };
const KEPT_AS = "headframe.language";

/** @type {Language} */
let chosen = "en";

export function language() {
  return chosen;
}

/** @param {Language} code */
export function choose(code) {
  chosen = code;
  document.documentElement.lang = code;
  localStorage.setItem(KEPT_AS, code);
  translate(document);
}

/** Take up what was chosen last on this computer; else the browser's own language. */
export function chooseAsBefore() {
  const before = localStorage.getItem(KEPT_AS) ?? navigator.language.slice(0, 2);
  choose(before === "zh" && hasChinese() ? "zh" : "en");
}

/** A text, with {names} in it filled in.
 * @param {Key} key
 * @param {Record<string, string | number>} [given]
 */
export function t(key, given = {}) {
  return TABLES[chosen][key].replace(/\{(\w+)\}/g, (_, name) => String(given[name] ?? ""));
}

/** A text for a name that came from elsewhere; one that is not known is shown as it is.
 * @param {string} group
 * @param {unknown} name
 */
export function named(group, name) {
  const key = /** @type {Key} */ (`${group}.${name}`);
  return key in EN ? t(key) : String(name);
}

/** What the console words itself, in the chosen language.
 * @param {Both | null | undefined} words
 */
export function said(words) {
  return words ? words[chosen] : "";
}

/** Write every text that stands in the document itself.
 * @param {ParentNode} root
 */
export function translate(root) {
  for (const each of root.querySelectorAll("[data-t]")) {
    each.textContent = t(/** @type {Key} */ (each.getAttribute("data-t")));
  }
  for (const each of root.querySelectorAll("[data-t-title]")) {
    const words = t(/** @type {Key} */ (each.getAttribute("data-t-title")));
    each.setAttribute("title", words);
    each.setAttribute("aria-label", words);
  }
}

/** Whether this computer has glyphs for Chinese: boxes help nobody. */
export function hasChinese() {
  const pen = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  if (!pen) return true;
  const drawn = (/** @type {string} */ text) => {
    pen.clearRect(0, 0, 48, 48);
    pen.font = "32px system-ui, sans-serif";
    pen.textBaseline = "top";
    pen.fillText(text, 2, 2);
    return pen.getImageData(0, 0, 48, 48).data.join();
  };
  pen.canvas.width = 48;
  pen.canvas.height = 48;
  return drawn("停") !== drawn("画");
}

/** How each mode looks. @type {Record<string, string>} */
export const MODE_LOOKS = {
  LOCAL: "idle", STANDBY: "idle", LEASED: "idle", ARMED: "armed", ACTIVE: "active",
  DEGRADED: "degraded", STOPPING: "stopping", STOPPED: "stopped", ESTOP: "stopping",
  FAULT: "stopping",
};

/** How what the chain reports looks; the watchdog relay closes for driving only.
 * @type {Record<string, string>} */
export const CHAIN_LOOKS = {
  closed: "good", open: "alarm", discrepancy: "alarm", unknown: "unknown", none: "quiet",
  rest: "quiet",
};

/** @type {Record<string, string>} */
export const GEARS = { "-1": "R", "0": "N", "1": "D" };

/** Command paths as the lamp names them. @type {Record<string, string>} */
export const PATHS = { MQTT: "MQTT", DATA_CHANNEL: "DATA" };
