/** Where the machine goes from here, and where it would stand: from what it reports of itself. */

/** m/s², as the machine's own governor reckons with it. */
const GRAVITY_MPS2 = 9.80665;
const STEP_M = 0.5;
/** The way is drawn this far at least, and no further than this, m. */
export const SHORTEST_M = 8;
export const LONGEST_M = 20;
/** Slower than this it stands, and there is nothing to stop. */
export const STANDS_MPS = 0.05;

/** What the machine's factsheet says of it.
 * @typedef {object} Facts
 * @property {Record<string, any>} machine sizes, m
 * @property {Record<string, any>} limits
 */

/** What is known of this moment; steering is of full lock, + to the left.
 * @typedef {object} Now
 * @property {number} speedMps + forwards
 * @property {number} way 1 forwards, −1 backwards
 * @property {number} steerMeasured
 * @property {number} steerCommanded
 * @property {number} grade rad, + uphill
 * @property {number} delayS of the loop between the driver's hands and eyes
 */

/** A point of the reference axle's way, m: x ahead, y to the left of the machine now.
 * @typedef {{x: number, y: number, heading: number}} Point */

/** Way until the machine stands: reaction with the slowest brake, then braking (v·T + v²/2a).
 * @param {Now} now
 * @param {Record<string, any>} limits
 * @returns {number | null} m; null where it would not stop
 */
export function stopDistanceM(now, limits) {
  const speed = Math.abs(now.speedMps);
  if (speed < STANDS_MPS) return 0;
  const brake = limits.stop_decel_mps2 + GRAVITY_MPS2 * now.grade * now.way;
  if (!(brake > 0)) return null;
  return speed * (now.delayS + limits.brake_delay_worst_s) + (speed * speed) / (2 * brake);
}

/** The way of the reference axle: by the measured steering for as long as the delay lasts, by the
 * commanded one beyond.
 * @param {Now} now
 * @param {Record<string, any>} limits
 * @param {number} lengthM
 * @returns {Point[]}
 */
export function wayOf(now, limits, lengthM) {
  const measuredM = Math.abs(now.speedMps) * now.delayS;
  /** @type {Point[]} */
  const points = [{ x: 0, y: 0, heading: 0 }];
  for (let at = 0; at < lengthM; at += STEP_M) {
    const last = points[points.length - 1];
    const steer = at < measuredM ? now.steerMeasured : now.steerCommanded;
    const step = Math.min(STEP_M, lengthM - at) * now.way;
    const turned = steer * limits.curvature_max_per_m * step;
    const along = last.heading + turned / 2;
    points.push({
      x: last.x + step * Math.cos(along),
      y: last.y + step * Math.sin(along),
      heading: last.heading + turned,
    });
  }
  return points;
}

/** A line beside a way.
 * @param {Point[]} points
 * @param {number} leftM
 */
export function beside(points, leftM) {
  return points.map(({ x, y, heading }) => ({
    x: x - leftM * Math.sin(heading), y: y + leftM * Math.cos(heading), heading,
  }));
}

/** How far along a way that leads from the reference axle the machine's leading end reaches.
 * @param {Record<string, any>} machine
 * @param {number} way
 */
export function leadingEndM(machine, way) {
  if (way > 0) return machine.front_overhang_m + (machine.wheelbase_m ?? 0);
  const behind = machine.kind === "articulated" ? machine.front_joint_m + machine.rear_joint_m : 0;
  return behind + machine.rear_overhang_m;
}

/** Whether the factsheet has what all this needs.
 * @param {any} facts
 * @returns {facts is Facts}
 */
export function areFacts(facts) {
  const numbers = [
    facts?.machine?.width_m, facts?.machine?.length_m, facts?.machine?.front_overhang_m,
    facts?.machine?.rear_overhang_m, facts?.limits?.curvature_max_per_m,
    facts?.limits?.stop_decel_mps2, facts?.limits?.brake_delay_worst_s,
  ];
  const axles = facts?.machine?.kind === "articulated"
    ? [facts.machine.front_joint_m, facts.machine.rear_joint_m] : [facts?.machine?.wheelbase_m];
  return [...numbers, ...axles].every((value) => typeof value === "number" && value > 0);
}
