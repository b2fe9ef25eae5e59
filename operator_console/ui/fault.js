/** Fail loud: any exception paints the whole screen and ends every sign of life of this page. */

/** @type {Array<() => void>} */
const enders = [];
let faulted = false;

/** Whether this page has given up. */
export function hasFaulted() {
  return faulted;
}

/**
 * Name something that must end when the page gives up: sockets, timers, heartbeats.
 * @param {() => void} end
 */
export function onFault(end) {
  enders.push(end);
}

/**
 * Give up: paint the screen, end what vouches for it. Only the first cause is shown.
 * @param {unknown} cause
 */
export function giveUp(cause) {
  if (faulted) return;
  faulted = true;
  for (const end of enders) {
    try {
      end();
    } catch {
      // The screen must be painted whatever else fails.
    }
  }
  const text = cause instanceof Error ? `${cause.message}\n${cause.stack ?? ""}` : String(cause);
  const pane = document.getElementById("fault");
  const detail = document.getElementById("fault-text");
  if (detail) detail.textContent = text;
  if (pane) pane.hidden = false;
  document.title = "CONSOLE FAULT";
}

/**
 * Return `work` so that whatever it throws ends the page.
 * @template {unknown[]} A
 * @param {(...args: A) => void} work
 * @returns {(...args: A) => void}
 */
export function guarded(work) {
  return (...args) => {
    if (faulted) return;
    try {
      work(...args);
    } catch (error) {
      giveUp(error);
    }
  };
}

/** Catch what no one else caught. */
export function watchForFaults() {
  window.addEventListener("error", (event) => giveUp(event.error ?? event.message));
  window.addEventListener("unhandledrejection", (event) => giveUp(event.reason));
}
