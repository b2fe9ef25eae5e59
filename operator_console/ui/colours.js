/** Dark colours, or those of the night: the second keep the eyes used to the dark. */

const KEPT_AS = "headframe.night";

export function nightChosen() {
  return document.documentElement.dataset.scheme === "night";
}

/** @param {boolean} night */
export function chooseNight(night) {
  document.documentElement.dataset.scheme = night ? "night" : "dark";
  localStorage.setItem(KEPT_AS, night ? "night" : "dark");
}

/** Take up what was chosen last on this computer. */
export function colourAsBefore() {
  chooseNight(localStorage.getItem(KEPT_AS) === "night");
}
