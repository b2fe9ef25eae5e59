/** The keyboard as controls, for simulated machines: ramps, holds, and letting go for sure. */

/**
 * @typedef {object} Snapshot
 * @property {number} steer −1…1, + left
 * @property {number} throttle 0…1
 * @property {number} brake 0…1
 * @property {boolean} enable
 * @property {number} gear −1, 0, 1
 * @property {boolean} park
 * @property {boolean} horn
 * @property {boolean} lights
 * @property {number} implement −1…1
 */

export const THROTTLE_PER_S = 0.4;
export const BRAKE_PER_S = 2.0;
export const STEER_PER_S = 0.5;
export const CENTRE_PER_S = 1.0;
export const RELEASE_PER_S = 2.0;
export const ARM_HOLD_MS = 1500;
export const PARK_HOLD_MS = 600;
export const GEAR_BRAKE_MIN = 0.3;
export const GEAR_SPEED_MAX_MPS = 0.14;

const ARM_KEYS = ["BracketLeft", "BracketRight", "Backslash"];
const ENABLE_KEYS = ["ShiftLeft", "ShiftRight"];
export const STOP_KEYS = new Set(["Space", "Escape"]);
const DRIVE_KEYS = new Set([
  "KeyW", "KeyS", "KeyA", "KeyD", "KeyE", "KeyQ", "KeyP", "KeyH", "KeyL",
  "PageUp", "PageDown", "Enter", ...ENABLE_KEYS, ...ARM_KEYS,
]);

/**
 * @param {number} value
 * @param {number} target
 * @param {number} step
 */
function toward(value, target, step) {
  return value < target ? Math.min(target, value + step) : Math.max(target, value - step);
}

/** Pure: every call takes the time; the page feeds it events and asks for snapshots. */
export class KeyboardControls {
  /**
   * @param {(action: "stop" | "arm" | "disarm") => void} onAction
   * @param {(key: import("/ui/text.js").Key) => void} onHint
   */
  constructor(onAction, onHint) {
    this.onAction = onAction;
    this.onHint = onHint;
    /** @type {Set<string>} */
    this.down = new Set();
    this.steer = 0;
    this.throttle = 0;
    this.brake = 0;
    this.gear = 0;
    this.park = false;
    this.lights = false;
    /** @type {number | null} */
    this.speedMps = null;
    this.lastMs = 0;
    /** @type {number | null} */
    this.armSinceMs = null;
    /** @type {number | null} */
    this.parkSinceMs = null;
    this.armSent = false;
    this.parkDone = false;
  }

  /**
   * @param {string} code
   * @param {boolean} repeat
   * @param {number} nowMs
   * @returns {boolean} whether the key belongs to the controls
   */
  press(code, repeat, nowMs) {
    if (STOP_KEYS.has(code)) {
      if (!repeat) this.onAction("stop");
      return true;
    }
    if (!DRIVE_KEYS.has(code)) return false;
    if (repeat) return true;
    this.sample(nowMs);
    this.down.add(code);
    if (code === "Enter") this.onAction("disarm");
    if (code === "KeyL") this.lights = !this.lights;
    if (code === "KeyE") this.shift(1);
    if (code === "KeyQ") this.shift(-1);
    return true;
  }

  /**
   * @param {string} code
   * @param {number} nowMs
   */
  release(code, nowMs) {
    this.sample(nowMs);
    // With both held, some systems tell only of one that it was let go.
    if (ENABLE_KEYS.includes(code)) this.openEnable();
    this.down.delete(code);
  }

  /** Open the dead-man alone; both its keys must be pressed anew. */
  openEnable() {
    for (const code of ENABLE_KEYS) this.down.delete(code);
  }

  /** Take the browser's own word for Shift: its release may have gone elsewhere.
   * @param {boolean} shiftKey as any key or pointer event reports it
   * @returns {boolean} whether enable was thought to be held and is not
   */
  shiftSeen(shiftKey) {
    if (shiftKey || !this.held(...ENABLE_KEYS)) return false;
    this.openEnable();
    return true;
  }

  /** Let go of everything at once: focus lost, page hidden, key events not to be trusted. */
  releaseAll() {
    this.down.clear();
    this.steer = 0;
    this.throttle = 0;
    this.brake = 0;
    this.armSinceMs = null;
    this.parkSinceMs = null;
    this.armSent = false;
    this.parkDone = false;
  }

  /** @param {number} by */
  shift(by) {
    const still = this.speedMps !== null && Math.abs(this.speedMps) < GEAR_SPEED_MAX_MPS;
    if (!still || this.brake < GEAR_BRAKE_MIN) {
      this.onHint("hint.gear");
      return;
    }
    this.gear = Math.max(-1, Math.min(1, this.gear + by));
  }

  /** @param {...string} codes */
  held(...codes) {
    return codes.some((code) => this.down.has(code));
  }

  /** How much of the arming hold is done, 0…1.
   * @param {number} nowMs
   */
  armProgress(nowMs) {
    return this.armSinceMs === null ? 0 : Math.min(1, (nowMs - this.armSinceMs) / ARM_HOLD_MS);
  }

  /**
   * Move the ramps on and return what the hands ask now.
   * @param {number} nowMs
   * @returns {Snapshot}
   */
  sample(nowMs) {
    const dt = Math.min(0.1, Math.max(0, (nowMs - this.lastMs) / 1000));
    this.lastMs = nowMs;
    const way = (this.held("KeyA") ? 1 : 0) - (this.held("KeyD") ? 1 : 0);
    this.steer = way === 0
      ? toward(this.steer, 0, CENTRE_PER_S * dt)
      : toward(this.steer, way, (this.steer * way < 0 ? CENTRE_PER_S : STEER_PER_S) * dt);
    const gas = this.held("KeyW");
    this.throttle = toward(this.throttle, gas ? 1 : 0, (gas ? THROTTLE_PER_S : RELEASE_PER_S) * dt);
    this.brake = toward(this.brake, this.held("KeyS") ? 1 : 0, BRAKE_PER_S * dt);
    this.holds(nowMs);
    return {
      steer: this.steer,
      throttle: this.throttle,
      brake: this.brake,
      enable: this.held(...ENABLE_KEYS),
      gear: this.gear,
      park: this.park,
      horn: this.held("KeyH"),
      lights: this.lights,
      implement: (this.held("PageUp") ? 1 : 0) - (this.held("PageDown") ? 1 : 0),
    };
  }

  /** @param {number} nowMs */
  holds(nowMs) {
    const arming = ARM_KEYS.every((code) => this.down.has(code));
    if (!arming) {
      this.armSinceMs = null;
      this.armSent = false;
    } else {
      this.armSinceMs ??= nowMs;
      if (!this.armSent && nowMs - this.armSinceMs >= ARM_HOLD_MS) {
        this.armSent = true;
        this.onAction("arm");
      }
    }
    if (!this.held("KeyP")) {
      this.parkSinceMs = null;
      this.parkDone = false;
    } else {
      this.parkSinceMs ??= nowMs;
      if (!this.parkDone && nowMs - this.parkSinceMs >= PARK_HOLD_MS) {
        this.parkDone = true;
        this.park = !this.park;
      }
    }
  }
}

/** Keys and what they do, for the help sheet.
 * @type {Array<[string[], import("/ui/text.js").Key]>} */
export const KEY_HELP = [
  [["Space", "Esc"], "key.stop"],
  [["Shift"], "key.enable"],
  [["W"], "key.throttle"],
  [["S"], "key.brake"],
  [["A", "D"], "key.steer"],
  [["E", "Q"], "key.gear"],
  [["P"], "key.park"],
  [["[", "]", "\\"], "key.arm"],
  [["Enter"], "key.disarm"],
  [["H"], "key.horn"],
  [["L"], "key.lights"],
  [["PgUp", "PgDn"], "key.body"],
  [["⌫"], "key.ack"],
  [["M"], "key.silence"],
  [["V"], "key.speak"],
  [["T"], "key.split"],
  [["G"], "key.language"],
  [["N"], "key.night"],
  [["Tab"], "key.tab"],
  [["/", "F1"], "key.help"],
];
