/** The driver's page: puts line, picture, hands and screen together. */

import { AlarmBook } from "/ui/alarms.js";
import { CHIME_MS, Chime, speak } from "/ui/chime.js";
import { PageClock, ToldTime } from "/ui/clock.js";
import { giveUp, guarded, hasFaulted, onFault, watchForFaults } from "/ui/fault.js";
import { Hud, element, look, say } from "/ui/hud.js";
import {
  ARM_HOLD_MS, GEAR_SPEED_MAX_MPS, KEY_HELP, KeyboardControls, STOP_KEYS,
} from "/ui/keyboard.js";
import { StopPress, pressesAtOnce } from "/ui/press.js";
import { ConsoleSocket, LINE_SILENT_MS } from "/ui/socket.js";
import { choose, chooseAsBefore, hasChinese, language, named, said, t } from "/ui/text.js";
import { Mirrors } from "/ui/mirrors.js";
import { Picture } from "/ui/picture.js";
import { colourAsBefore, nightChosen, chooseNight } from "/ui/colours.js";
import { LiveSound } from "/ui/sound.js";
import { Track } from "/ui/track.js";
import { LiveVideo } from "/ui/video.js";
import { Way } from "/ui/way.js";
import { EN } from "/ui/words_en.js";
import { ZH } from "/ui/words_zh.js";

const INPUT_PERIOD_MS = 15;
const WATCH_PERIOD_MS = 50;
/** A page that paints says so this often, new picture or not. */
const SCREEN_BEAT_MS = 50;
const HINT_MS = 3000;
/** How long a page that has just come may be without its console's first word. */
const CONNECT_MS = 3000;
/** A stamp further ahead of the vehicle's clock is from before the vehicle booted. */
const STAMP_AHEAD_MAX_US = 1e6;
/** Fewer pictures than this are said to be few; a machine at rest sends 15 in a second. */
const SLOW_FPS = 12;
const HELP_KEYS = new Set(["Slash", "F1"]);
/** Modes in which the machine is driven or about to be; in others the lever falls to neutral. */
const DRIVEN = new Set(["ARMED", "ACTIVE", "DEGRADED"]);
const ENABLED = new Set(["ACTIVE", "DEGRADED"]);
/** Modes in which a machine that does not say how fast it is may move. */
const MAY_MOVE = new Set([...ENABLED, "STOPPING"]);

/** @typedef {Record<string, any>} Json */

class Cockpit {
  constructor() {
    this.hud = new Hud();
    this.drives = false;
    this.pageDrives = false;
    /** @type {Json | null} */
    this.state = null;
    /** When it was told, not when it was taken: it may have waited. */
    this.stateMs = -Infinity;
    this.told = new ToldTime();
    /** What of the console stands on the screen. @type {Json} */
    this.drawn = {};
    this.cameMs = performance.now();
    this.press = new StopPress();
    /** @type {string | null} */
    this.mode = null;
    this.sequence = 0;
    this.hintText = "";
    this.hintUntilMs = 0;
    /** @type {Json} */
    this.seat = {};
    this.keyboard = new KeyboardControls(
      (action) => this.act(action),
      (key) => this.hint(t(key)),
    );
    this.alarms = new AlarmBook();
    this.chime = new Chime();
    this.way = new Way(document.querySelector("#way") ?? element("stage"), element("way-note"));
    this.track = new Track(
      element("map-card"), /** @type {HTMLCanvasElement} */ (element("map")), element("map-note"));
    const token = new URLSearchParams(location.search).get("token") ?? "";
    this.socket = new ConsoleSocket(
      token,
      (message) => this.hear(message),
      (up) => this.lineChanged(up),
    );
    this.clock = new PageClock();
    this.screenDelayMs = 0;
    this.front = new Picture(
      /** @type {HTMLVideoElement} */ (element("video")), 0, this.clock);
    this.rear = new Picture(
      /** @type {HTMLVideoElement} */ (element("video-rear")), 0, this.clock);
    /** The main view: of the direction of travel. */
    this.main = this.front;
    this.hasRear = false;
    this.mirrors = new Mirrors(this.clock);
    this.video = new LiveVideo(
      [this.front],
      (message) => this.socket.send(message),
      (picture) => this.presented(picture),
      () => {
        this.shown = null;
      },
      this.clock,
    );
    this.sound = new LiveSound(
      /** @type {HTMLButtonElement} */ (element("sound")),
      /** @type {HTMLAudioElement} */ (element("sound-audio")),
      (message) => this.socket.send(message),
    );
    this.wire();
    this.nameNight();
    /** Of the main view. @type {{frame: number, captureUs: number} | null} */
    this.shown = null;
    this.toldMs = -Infinity;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.armTimer = undefined;
    this.paint();
    const inputs = setInterval(guarded(() => this.sendInput()), INPUT_PERIOD_MS);
    const watch = setInterval(guarded(() => this.watch()), WATCH_PERIOD_MS);
    onFault(() => {
      clearInterval(inputs);
      clearInterval(watch);
    });
  }

  // ---- the line ------------------------------------------------------------------------

  /** @param {boolean} up */
  lineChanged(up) {
    this.told.forget();
    this.endArm();
    this.keyboard.releaseAll();
    if (!up) {
      this.drives = false;
      this.video?.allow(false);
      this.sound?.allow(false);
      this.watch();
    }
  }

  /** @param {Json} message */
  hear(message) {
    switch (message.t) {
      case "state":
        this.state = message;
        this.stateMs = this.told.at(message.told_ms, performance.now());
        this.clock.hear(
          message.console?.vehicle_now_us, message.console?.vehicle_now_within_us, this.stateMs);
        this.follow(message.vehicle);
        this.faceTheWay(message);
        break;
      case "config":
        this.configure(message);
        break;
      case "role":
        this.drives = message.drives;
        this.keyboard.releaseAll();
        document.body.classList.toggle("viewer", !message.drives);
        break;
      case "answer":
        void this.video.answer(message.id, message.sdp);
        this.sound.answer(message.id, message.sdp);
        break;
      case "event":
        this.alarms.event(
          /** @type {any} */ (message), performance.now(), message.age_ms ?? 0);
        this.drawAlerts(performance.now());
        break;
      case "slow":
        this.hearSlow(message);
        break;
      case "ack":
        // The console answers for the machine in its state; its own refusals come only here.
        if (message.outcome === "refused" && `reason.${message.reason}` in EN) {
          const what = named("ask", message.kind);
          this.hint(t("answer.refused", { what, why: named("reason", message.reason) }));
        }
        break;
      default:
        break;
    }
  }

  /** What the machine tells slowly, for the plan and the map.
   * @param {Json} message
   */
  hearSlow(message) {
    if (message.group === "factsheet") this.way.facts = message.content;
    if (message.group !== "position") return;
    this.track.hear(message.content, performance.now(), message.age_ms);
  }

  /** @param {Json} config */
  configure(config) {
    this.pageDrives = config.page_drives;
    document.body.classList.toggle("desk", !config.page_drives);
    document.body.classList.toggle("replay", config.replay === true);
    this.alarms.forget();
    say("vehicle-name", config.vehicle);
    this.seat = config;
    this.nameSeat();
    this.video.iceServers = config.ice_servers ?? [];
    this.video.keepsStandby = config.replay !== true;
    this.screenDelayMs = config.screen_delay_ms ?? 0;
    this.front.camera = config.cameras[0];
    this.hasRear = typeof config.rear_camera === "number";
    if (this.hasRear) this.rear.camera = config.rear_camera;
    // On three screens the mirrors have windows of their own beside this one.
    const alone = new URLSearchParams(location.search).get("screen") === "main";
    this.mirrors.configure(alone ? {} : config);
    const ends = this.hasRear ? [this.front, this.rear] : [this.front];
    this.video.ask([...ends, ...this.mirrors.pictures]);
    this.turn(null);
    this.video.allow(true);
    this.sound.iceServers = this.video.iceServers;
    this.sound.offer(config.sound === true);
    this.sound.allow(true);
  }

  /** Let the main view be that of the direction of travel. A machine that moves says it by its own
   * gear; the driver's counts at a standstill only. What says no direction, or is too old, turns
   * nothing.
   * @param {Json} state
   */
  faceTheWay(state) {
    if (!state.vehicle || state.state_age_ms > state.state_max_age_ms) return;
    const own = state.vehicle.gear;
    if (!this.moves()) this.turn(state.console?.input?.gear || own);
    else if (own) this.turn(own);
  }

  /** @param {unknown} gear */
  turn(gear) {
    const main = this.hasRear && gear === -1 ? this.rear : this.front;
    if (main === this.main) return;
    this.main = main;
    const isRear = main === this.rear;
    element("stage").classList.toggle("reverse", isRear);
    this.nameCamera();
    this.frameIt();
    this.shown = main.frame === null ? null : { frame: main.frame, captureUs: main.captureUs };
    this.tellView();
  }

  nameCamera() {
    const tag = element("camera-tag-words");
    tag.dataset.t = this.main === this.rear ? "camera.rear" : "camera.front";
    say("camera-tag-words", t(this.main === this.rear ? "camera.rear" : "camera.front"));
  }

  nameSeat() {
    const { operator, site, simulated } = this.seat;
    say("operator-name", operator ? `${operator} · ${site}${simulated ? ` · ${t("simulated")}` : ""}` : "");
  }

  /** @param {Json | null} vehicle */
  follow(vehicle) {
    this.keyboard.speedMps = vehicle?.speed_mps ?? null;
    const mode = vehicle?.mode ?? null;
    const fell = mode === "ARMED" && this.mode !== null && ENABLED.has(this.mode);
    if (fell || mode === null || !DRIVEN.has(mode)) this.keyboard.gear = 0;
    this.mode = mode;
    if (this.moves()) /** @type {HTMLDialogElement} */ (element("help")).close();
  }

  /** The machine moves, or it is driven or stopping and does not say how fast. */
  moves() {
    const speed = this.keyboard.speedMps;
    if (speed === null) return this.mode !== null && MAY_MOVE.has(this.mode);
    return Math.abs(speed) > GEAR_SPEED_MAX_MPS;
  }

  // ---- what the driver does ------------------------------------------------------------

  /** @param {string} action */
  act(action) {
    const sent = this.socket.send({ t: "action", do: action });
    if (action !== "stop") return;
    const nowMs = performance.now();
    this.press.pressed(sent, this.heard(nowMs), nowMs);
    this.watch();
  }

  /** @param {string} text */
  hint(text) {
    this.hintText = text;
    this.hintUntilMs = performance.now() + HINT_MS;
  }

  sendInput() {
    const snapshot = this.keyboard.sample(performance.now());
    if (!this.drives || !this.pageDrives || document.visibilityState !== "visible") return;
    this.sequence += 1;
    this.socket.send({ t: "input", seq: this.sequence, ...snapshot });
  }

  blurred() {
    if (this.drives) this.socket.send({ t: "blurred" });
    this.letGo();
  }

  letGo() {
    this.endArm();
    this.keyboard.releaseAll();
    this.sendInput();
  }

  /** A new picture is on the screen: told at once, from inside the frame's own callback.
   * @param {Picture} picture
   */
  presented(picture) {
    if (picture !== this.main || picture.frame === null) return;
    this.frameIt();
    const presented = { frame: picture.frame, captureUs: picture.captureUs };
    const ticks = element("tick").children;
    for (let index = 0; index < ticks.length; index += 1) {
      ticks[index].classList.toggle("on", index === (presented.frame >> 1) % ticks.length);
    }
    this.shown = presented;
    this.tellView();
  }

  /** The screen's beat, from inside a paint callback only: it dies with what it vouches for.
   * A frozen picture keeps its capture stamp, and ages at the machine. */
  paint() {
    requestAnimationFrame(guarded(() => this.paint()));
    if (performance.now() - this.toldMs >= SCREEN_BEAT_MS) this.tellView();
  }

  /** Give the stage the main view's shape. */
  frameIt() {
    if (this.main.ratio === null) return;
    element("picture").style.setProperty("--ratio", String(this.main.ratio));
  }

  tellView() {
    if (hasFaulted() || !this.drives || !this.shown) return;
    this.toldMs = performance.now();
    this.socket.send({
      t: "view",
      camera: this.main.camera,
      frame: this.shown.frame,
      capture_us: this.shown.captureUs,
      visible: document.visibilityState === "visible",
    });
  }

  wire() {
    window.addEventListener("keydown", guarded((event) => this.keyDown(event)));
    window.addEventListener("keyup", guarded((event) => this.keyUp(event)));
    for (const name of ["pointerdown", "pointermove", "pointerup"]) {
      window.addEventListener(
        name,
        guarded((event) => this.pointed(/** @type {PointerEvent} */ (event))),
        { capture: true },
      );
    }
    window.addEventListener("contextmenu", guarded((event) => {
      event.preventDefault();
      this.blurred();
    }));
    window.addEventListener("blur", guarded(() => this.blurred()));
    // A page that is loaded anew or left goes on being drawn until what comes next is there.
    for (const name of ["beforeunload", "pagehide"]) {
      window.addEventListener(name, guarded(() => this.hidden()));
    }
    document.addEventListener("visibilitychange", guarded(() => {
      if (document.visibilityState !== "visible") this.hidden();
    }));
    this.wireKeys();
    pressesAtOnce(element("stop"), () => this.act("stop"));
    for (const button of document.querySelectorAll("[data-do]")) {
      const action = /** @type {HTMLElement} */ (button).dataset.do ?? "";
      button.addEventListener("click", guarded((event) => {
        this.act(action);
        leaveNoFocus(button, /** @type {MouseEvent} */ (event));
      }));
    }
    element("take-seat").addEventListener("click", guarded(() => this.act("drive")));
    this.wireArm(/** @type {HTMLElement} */ (document.querySelector("[data-hold=arm]")));
    this.wireHelp();
  }

  /** What has a key of its own and a button beside it. */
  wireKeys() {
    /** @type {Array<[string, string, () => void]>} */
    const doors = [
      ["chip-picture", "KeyT", () => {
        element("split").hidden = !element("split").hidden;
      }],
      ["language", "KeyG", () => this.switchLanguage()],
      ["night", "KeyN", () => this.switchNight()],
      ["alerts-ack", "Backspace", () => this.acknowledge()],
      ["alerts-silence", "KeyM", () => this.silence()],
      ["", "KeyV", () => this.speak()],
    ];
    this.doors = new Map(doors.map(([, code, work]) => [code, work]));
    for (const [id, , work] of doors.filter(([each]) => each)) {
      element(id).addEventListener("click", guarded((event) => {
        work();
        leaveNoFocus(element(id), /** @type {MouseEvent} */ (event));
      }));
    }
  }

  switchLanguage() {
    const to = language() === "en" ? "zh" : "en";
    if (to === "zh" && !hasChinese()) {
      this.hint(t("hint.glyphs"));
      return;
    }
    choose(to);
    this.nameSeat();
    this.nameCamera();
    this.nameNight();
    this.fillHelp();
    this.drawAlerts(performance.now());
    this.watch();
  }

  switchNight() {
    chooseNight(!nightChosen());
    this.nameNight();
  }

  nameNight() {
    say("night", t(nightChosen() ? "top.day" : "top.night"));
  }

  acknowledge() {
    this.alarms.acknowledge();
    this.drawAlerts(performance.now());
  }

  /** Half a minute of quiet; when all is quiet, one sound to hear that it works. */
  silence() {
    if (!this.alarms.silence(performance.now())) this.chime.play("warning");
  }

  /** Say aloud what stands on the screen, and the next step. */
  speak() {
    const words = [said(this.drawn.message), said(this.drawn.step)].filter(Boolean);
    const text = words.length ? words.join(". ") : t("speech.nothing");
    if (!speak(text)) this.hint(t("speech.none"));
  }

  /** @param {number} nowMs */
  drawAlerts(nowMs) {
    this.hud.alerts(this.alarms.ordered(), nowMs);
    const silentS = this.alarms.silentS(nowMs);
    const loud = this.alarms.loudest() !== undefined;
    const chime = element("chime");
    chime.hidden = this.chime.audible && !silentS;
    say("chime", !this.chime.audible ? t("chime.off") : t("chime.silenced", { s: silentS }));
    chime.dataset.look = !this.chime.audible && loud ? "caution" : "quiet";
    const level = this.alarms.sound(nowMs, CHIME_MS);
    if (level) this.chime.play(level);
  }

  hidden() {
    this.endArm();
    this.keyboard.releaseAll();
    if (this.drives) this.socket.send({ t: "hidden" });
  }

  /** What takes the keyboard away opens the hands before it does: some browsers show their
   * menu without asking, and a key let go under it is never told.
   * @param {PointerEvent} event
   */
  pointed(event) {
    if (event.type === "pointerup") this.chime.wake();
    if (event.type === "pointerdown" && event.button !== 0) this.blurred();
    else this.watchShift(event);
  }

  /** @param {KeyboardEvent | PointerEvent} event */
  watchShift(event) {
    if (this.keyboard.shiftSeen(event.shiftKey)) this.sendInput();
  }

  /** @param {KeyboardEvent} event */
  keyDown(event) {
    this.watchShift(event);
    if (HELP_KEYS.has(event.code)) {
      // Without Shift as well: Shift is the dead-man and no part of asking for help.
      if (!event.repeat) this.toggleHelp();
      event.preventDefault();
      return;
    }
    if (event.metaKey || event.ctrlKey || event.altKey) {
      this.letGo();
      if (!STOP_KEYS.has(event.code)) return;
    }
    const help = /** @type {HTMLDialogElement} */ (element("help"));
    if (help.open && event.code === "Enter") {
      help.close();
      event.preventDefault();
      return;
    }
    const focused = document.activeElement;
    if (event.code === "Enter" && focused instanceof HTMLElement && focused !== document.body) {
      // What is no button of the browser's own is pressed by Enter as well.
      if (!(focused instanceof HTMLButtonElement)) focused.click();
      return;
    }
    const door = this.doors?.get(event.code);
    if (door) {
      if (!event.repeat) door();
      event.preventDefault();
      return;
    }
    if (this.keyboard.press(event.code, event.repeat, performance.now())) {
      event.preventDefault();
      if (!event.repeat) this.sendInput();
    }
  }

  /** @param {KeyboardEvent} event */
  keyUp(event) {
    this.chime.wake();
    this.watchShift(event);
    this.keyboard.release(event.code, performance.now());
    this.sendInput();
  }

  /** The hold of the arm button ends: a button that is disabled under the pointer, or a page that
   * is hidden, is never told that the pointer was let go. */
  endArm() {
    clearTimeout(this.armTimer);
    document.querySelector("[data-hold=arm]")?.classList.remove("holding");
  }

  /** @param {HTMLElement} button */
  wireArm(button) {
    button.addEventListener("pointerdown", guarded(() => {
      button.classList.add("holding");
      this.armTimer = setTimeout(guarded(() => {
        this.endArm();
        this.act("arm");
      }), ARM_HOLD_MS);
    }));
    for (const name of ["pointerup", "pointerleave", "pointercancel", "blur"]) {
      button.addEventListener(name, () => this.endArm());
    }
  }

  wireHelp() {
    this.fillHelp();
    element("help-open").addEventListener("click", guarded(() => this.toggleHelp()));
    element("help-close").addEventListener("click", guarded(() => this.toggleHelp()));
    // Escape is STOP; it must not be swallowed by the sheet.
    element("help").addEventListener("cancel", (event) => event.preventDefault());
  }

  fillHelp() {
    element("help-keys").replaceChildren(...KEY_HELP.map(([keys, words]) => {
      const row = document.createElement("div");
      const caps = document.createElement("span");
      for (const key of keys) {
        const cap = document.createElement("kbd");
        cap.textContent = key;
        caps.append(cap);
      }
      const text = document.createElement("span");
      text.textContent = t(words);
      row.append(caps, text);
      return row;
    }));
  }

  toggleHelp() {
    const help = /** @type {HTMLDialogElement} */ (element("help"));
    if (help.open) help.close();
    else if (this.moves()) this.hint(t("hint.help"));
    else help.show();
  }

  // ---- what the driver sees ------------------------------------------------------------

  watch() {
    const nowMs = performance.now();
    const since = nowMs - this.stateMs;
    const line = this.line(nowMs);
    const shown = grown(this.state ?? {}, since, line);
    this.drawn = shown.console;
    if (line === "up") this.pictureAge(shown.console, nowMs);
    this.picture(shown.console, nowMs);
    this.mirrors.draw(nowMs, shown.console.picture_max_age_ms);
    if (typeof shown.console.picture_age_ms === "number") {
      shown.console.picture_age_ms += this.screenDelayMs;
    }
    if (!element("split").hidden) say("split", this.main.details(nowMs, this.screenDelayMs));
    this.hud.draw(shown, nowMs, { line, drives: this.drives });
    const known = shown.vehicle && shown.state_age_ms <= shown.state_max_age_ms;
    this.drawStop(known, nowMs);
    this.way.draw(known ? shown.vehicle : {}, shown.state_age_ms, shown.state_max_age_ms);
    this.track.draw(nowMs);
    this.alarms.stand(shown.console.message, nowMs);
    this.drawAlerts(nowMs);
    const seat = /** @type {HTMLButtonElement} */ (element("take-seat"));
    seat.disabled = line !== "up";
    if (nowMs < this.hintUntilMs) {
      say("answer", this.hintText);
      look("answer", "caution");
    }
    const held = this.keyboard.armProgress(nowMs);
    const arm = /** @type {HTMLButtonElement} */ (document.querySelector("[data-hold=arm]"));
    if (arm.disabled) this.endArm();
    const fill = /** @type {HTMLElement} */ (arm.querySelector(".fill"));
    fill.style.width = held > 0 ? `${held * 100}%` : "";
    say("clock", new Date().toTimeString().slice(0, 8));
  }

  /** @param {boolean} known the machine's own word still counts
   * @param {number} nowMs
   */
  drawStop(known, nowMs) {
    const stop = this.state?.console?.stop ?? {};
    const told = { ...stop, confirmed: stop.confirmed && known };
    const [stopLook, words] = this.press.shown(told, this.heard(nowMs), nowMs);
    look("stop", stopLook);
    say("stop-note", words);
  }

  /** @param {number} nowMs */
  heard(nowMs) {
    return { up: this.line(nowMs) === "up", heardMs: this.stateMs };
  }

  /** @param {number} nowMs */
  line(nowMs) {
    if (this.socket.up && nowMs - this.stateMs <= LINE_SILENT_MS) return "up";
    const never = this.state === null && nowMs - this.cameMs < CONNECT_MS;
    return never ? "connecting" : "down";
  }

  /** The age of what this page shows now; the console's word of it is older by its way here.
   * @param {Json} inner
   * @param {number} nowMs
   */
  pictureAge(inner, nowMs) {
    const clock = this.clock.known(nowMs);
    const stampUs = this.shown?.captureUs;
    const ageUs = clock && stampUs ? nowMs * 1000 + clock.offsetUs - stampUs : null;
    const known = ageUs !== null && ageUs > -STAMP_AHEAD_MAX_US;
    inner.picture_age_ms = known ? Math.max(0, ageUs / 1000) : null;
    inner.picture_age_is_least = known && clock?.withinUs === null;
    inner.picture_age_within_ms = known && clock?.withinUs ? clock.withinUs / 1000 : null;
  }

  /**
   * @param {Json} inner
   * @param {number} nowMs
   */
  picture(inner, nowMs) {
    const silence = this.main.silenceMs(nowMs);
    const ageMs = this.shown?.captureUs ? inner.picture_age_ms : null;
    const live = this.main.liveness(nowMs, ageMs, inner.picture_max_age_ms);
    const stage = element("stage");
    if (stage.dataset.live !== live) stage.dataset.live = live;
    const rate = this.main.fps(nowMs);
    say("camera-rate", Number.isFinite(silence) ? String(rate) : "—");
    look("chip-camera", live !== "live" ? "alarm" : rate < SLOW_FPS ? "caution" : "good");
    if (live === "live") return;
    const words = named("live", live);
    const age = live === "old" ? ageMs : live === "frozen" ? silence : null;
    say("no-image-words", age === null ? words : `${words} ${(age / 1000).toFixed(1)} s`);
  }
}

/** The state with its ages grown by the time since it was told: a dead line ages everything.
 * @param {Json} state
 * @param {number} sinceMs
 * @param {"connecting" | "up" | "down"} line
 * @returns {Json}
 */
function grown(state, sinceMs, line) {
  const older = (/** @type {unknown} */ age) => (typeof age === "number" ? age + sinceMs : null);
  const inner = state.console ?? {};
  const dead = line !== "up";
  return {
    ...state,
    state_age_ms: older(state.state_age_ms),
    console: dead
      ? { message: line === "connecting" ? LINE_COMES : LINE_LOST }
      : { ...inner, picture_age_ms: older(inner.picture_age_ms) },
    vehicle: dead ? null : state.vehicle,
  };
}

const LINE_LOST = {
  code: "C100", level: "alarm", en: EN["line.lost"], zh: ZH["line.lost"],
};

const LINE_COMES = {
  code: "C122", level: "info", en: EN["line.comes"], zh: ZH["line.comes"],
};

/** A pointer's click leaves no focus behind: Enter is Disarm again.
 * @param {Element} button
 * @param {MouseEvent} event
 */
function leaveNoFocus(button, event) {
  if (event.detail > 0) /** @type {HTMLElement} */ (button).blur();
}

watchForFaults();
try {
  chooseAsBefore();
  colourAsBefore();
  new Cockpit();
} catch (error) {
  giveUp(error);
}
