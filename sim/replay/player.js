/** The player's controls: asks five times a second where the log is, and says what a hand wants. */

const POLL_MS = 200;
const token = new URLSearchParams(location.search).get("token") ?? "";
const query = `token=${encodeURIComponent(token)}`;
/** @param {string} id @returns {any} */
const at = (id) => document.getElementById(id);
let playing = false;
let held = false;
let listed = false;

/** @param {string} what @param {number} [value] */
async function ask(what, value = 0) {
  const body = JSON.stringify({ do: what, value });
  const headers = { "Content-Type": "application/json" };
  const answer = await fetch(`/player/do?${query}`, { method: "POST", headers, body });
  if (answer.ok) show(await answer.json());
}

/** @param {{[name: string]: any}} state */
function show(state) {
  playing = state.playing;
  at("toggle").textContent = playing ? "Pause" : "Play";
  at("place").max = state.length_s;
  if (!held) at("place").value = state.at_s;
  const when = new Date(state.utc_ms).toISOString().slice(0, 23).replace("T", " ");
  at("where").textContent =
    `${state.at_s.toFixed(2)} s of ${state.length_s.toFixed(1)} s, ${when} UTC, ${state.speed} ×`;
  if (listed) return;
  listed = true;
  for (const [seconds, id] of state.events) {
    const item = document.createElement("li");
    const jump = document.createElement("button");
    jump.textContent = `${seconds.toFixed(1)} s  ${id}`;
    jump.addEventListener("click", () => void ask("seek", seconds - 1));
    item.append(jump);
    at("events").append(item);
  }
}

async function poll() {
  const answer = await fetch(`/player/state?${query}`);
  if (answer.ok) show(await answer.json());
}

at("console").href = `/?${query}`;
at("toggle").addEventListener("click", () => void ask(playing ? "pause" : "play"));
at("speed").addEventListener("change", () => void ask("speed", Number(at("speed").value)));
at("place").addEventListener("pointerdown", () => { held = true; });
at("place").addEventListener("change", () => {
  held = false;
  void ask("seek", Number(at("place").value));
});
for (const button of document.querySelectorAll("[data-step]")) {
  const seconds = Number(button.getAttribute("data-step"));
  button.addEventListener("click", () => void ask("step", seconds));
}
setInterval(() => void poll(), POLL_MS);
void poll();
