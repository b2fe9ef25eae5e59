/** Words of the screen in both languages; messages and events come worded by the console. */

/** @typedef {{en: string, zh: string, look: string}} ModeWords */

/** @type {Record<string, ModeWords>} */
export const MODES = {
  LOCAL: { en: "LOCAL", zh: "本地操作", look: "idle" },
  STANDBY: { en: "STANDBY", zh: "待机", look: "idle" },
  LEASED: { en: "CONTROL TAKEN", zh: "已授权", look: "idle" },
  ARMED: { en: "ARMED", zh: "已上电", look: "armed" },
  ACTIVE: { en: "REMOTE ACTIVE", zh: "遥控中", look: "active" },
  DEGRADED: { en: "DEGRADED", zh: "降级运行", look: "degraded" },
  STOPPING: { en: "STOPPING", zh: "停车中", look: "stopping" },
  STOPPED: { en: "STOPPED", zh: "已停车", look: "stopped" },
  ESTOP: { en: "E-STOP", zh: "急停", look: "stopping" },
  FAULT: { en: "FAULT", zh: "故障", look: "stopping" },
};

/** @type {ModeWords} */
export const UNKNOWN_MODE = { en: "STATE UNKNOWN", zh: "状态未知", look: "unknown" };

/** Before the console has spoken for the first time.
 * @type {ModeWords} */
export const CONNECTING_MODE = { en: "CONNECTING", zh: "连接中", look: "unknown" };

/** What stands over a picture that is not live.
 * @type {Record<"none" | "frozen" | "old" | "unknown", {en: string, zh: string}>} */
export const NOT_LIVE = {
  none: { en: "NO LIVE IMAGE", zh: "无画面" },
  frozen: { en: "NO LIVE IMAGE", zh: "画面停滞" },
  old: { en: "OLD IMAGE", zh: "画面过旧" },
  unknown: { en: "IMAGE AGE UNKNOWN", zh: "画面延时未知" },
};

/** The machine's sound, as its button says it.
 * @type {Record<"off" | "waits" | "on" | "lost", {en: string, zh: string}>} */
export const SOUND = {
  off: { en: "Sound off", zh: "声音关" },
  waits: { en: "Sound …", zh: "声音…" },
  on: { en: "Sound on", zh: "声音开" },
  lost: { en: "No sound", zh: "无声音" },
};

/** @type {Record<string, [string, string]>} */
export const CAP_REASONS = {
  machine: ["machine", "机器限速"],
  zone: ["zone", "区域限速"],
  loop: ["delay", "链路延时"],
  clearance: ["clearance", "障碍距离"],
  one_path: ["one path", "单通道"],
  degraded: ["degraded", "降级"],
  view: ["picture age", "画面延时"],
  reverse: ["reverse", "倒车"],
};

/** @type {Record<string, string>} */
export const GEARS = { "-1": "R", "0": "N", "1": "D" };

/** @type {Record<string, [string, string]>} */
export const CHAIN = {
  closed: ["CLOSED", "good"],
  open: ["OPEN", "alarm"],
  discrepancy: ["CHANNELS DIFFER", "alarm"],
  unknown: ["UNKNOWN", "unknown"],
  none: ["not fitted", "quiet"],
  /** The watchdog relay closes for driving only. */
  rest: ["open, at rest", "quiet"],
};

/** Command paths as the lamp names them.
 * @type {Record<string, string>}
 */
export const PATHS = { MQTT: "MQTT", DATA_CHANNEL: "DATA" };

/** @type {Record<string, string>} */
export const ANSWERS = {
  no_nonce: "the machine has not been heard",
  no_answer: "no answer",
  viewer: "this page only watches",
  seat_taken: "another page drives",
  seat_moving: "another page drives and the machine does not stand still",
};

/** @type {Record<string, string>} */
export const REQUESTS = {
  lease: "Take control",
  arm: "Arm",
  disarm: "Disarm",
  reset: "Reset",
  release: "Release",
  offer: "Hand over",
  take_over: "Take over",
  drive: "Drive from this page",
};
