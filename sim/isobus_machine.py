"""An emulated ISOBUS tractor: guidance, machine selected speed, and the retrofit's module.

It lets go of the steering when guidance commands are late (150 ms, as AgIsoStack does), of the
speed when that command or our heartbeat is (300 ms), says why in the standard's exit reasons, and
takes steering again only after a "not intended".
"""

from __future__ import annotations

from collections import Counter

from protocol.adapters import IsobusAdapter
from protocol.dbw.codec import EcuMode, ExitReason
from protocol.dbw.errors import DbwError
from protocol.isobus import codec
from protocol.isobus.codec import (
    Beat,
    GuidanceState,
    SelectedSpeed,
    SpeedCommand,
    Steering,
    WheelSpeed,
)
from protocol.j1939.ids import Id, parse_id
from sim.ecu import EcuInputs, EcuOutput, EcuProfile
from sim.machines.interface import ActuatorDemand, MachineFeedback
from sim.retrofit import Retrofit, slew
from vehicle_agent.core.channel import Cycle

_MS = 1_000_000
HEARTBEAT_TIMEOUT_NS = 300 * _MS
PERIOD_MS = 100
PRIORITY = 3
_TOLD = (codec.GUIDANCE_STATE, codec.WHEEL_SPEED, codec.SELECTED_SPEED, codec.HEARTBEAT)


class IsobusMachine:
    """One tractor; one instance is one turn of its key.

    Args:
        profile: its limits. adapter: addresses and time-outs.

    Attributes:
        refused: command frames that did not count, by reason.
        steering_exit, speed_exit: why it last let go of either.
    """

    def __init__(self, profile: EcuProfile, adapter: IsobusAdapter) -> None:
        self._profile, self._adapter = profile, adapter
        self._module = Retrofit(profile, steers=False)
        self._guidance: tuple[int, float] | None = None
        self._ready_to_steer = False
        self._speed: tuple[int, SpeedCommand] | None = None
        self._beat: int | None = None
        self._beat_ns: int | None = None
        self._own_beat = codec.BEAT_SHUTDOWN
        self._direction = 0
        self._cycles = {pgn: Cycle(PERIOD_MS) for pgn in _TOLD}
        self._stepped_ns: int | None = None
        self._traction_mps2 = self._brake_mps2 = 0.0
        self._curvature_per_m: float | None = None
        self.steering_exit = self.speed_exit = ExitReason.CLEAR
        self.refused: Counter[str] = Counter()

    @property
    def mode(self) -> EcuMode:
        """In the words of a by-wire ECU: ACTIVE while nothing holds it."""
        return EcuMode.SAFE_STOP if self._module.stopped else EcuMode.ACTIVE

    def set_inputs(self, inputs: EcuInputs) -> None:
        """Take the contacts' new state."""
        self._module.set_inputs(inputs)

    # -- commands in

    def on_frame(self, now_ns: int, can_id: int, data: bytes) -> None:
        """Take a frame from the bus, whatever it is."""
        group = parse_id(can_id)
        if group.source != self._adapter.address:
            self._module.on_frame(now_ns, can_id, data)
            return
        try:
            self._take(now_ns, group, can_id, data)
        except DbwError as error:
            self.refused[error.refusal.value] += 1

    def _take(self, now_ns: int, group: Id, can_id: int, data: bytes) -> None:
        if group.pgn == codec.GUIDANCE_COMMAND and group.destination == self._adapter.tractor:
            self._take_guidance(now_ns, *codec.decode_guidance(data))
        elif group.pgn == codec.SPEED_COMMAND:
            self._take_speed(now_ns, codec.decode_speed_command(data))
        elif group.pgn == codec.HEARTBEAT:
            self._hear_beat(now_ns, data)
        else:
            self._module.on_frame(now_ns, can_id, data)

    def _take_guidance(self, now_ns: int, curvature_per_m: float, steering: Steering) -> None:
        if steering is Steering.NOT_INTENDED:
            self._guidance, self._ready_to_steer = None, True
            return
        begins = self._guidance is None
        if abs(curvature_per_m) > self._profile.curvature_max_per_m + 0.000126:
            self._let_go_of_steering(ExitReason.OUT_OF_RANGE)
        elif not begins or self._ready_to_steer:
            self._guidance, self._ready_to_steer = (now_ns, curvature_per_m), False
            if begins:
                self.steering_exit = ExitReason.CLEAR

    def _take_speed(self, now_ns: int, command: SpeedCommand) -> None:
        if self._speed is None:
            self.speed_exit = ExitReason.CLEAR
        self._speed = (now_ns, command)

    def _hear_beat(self, now_ns: int, data: bytes) -> None:
        beat, self._beat = codec.judge_beat(self._beat, data)
        if beat is Beat.ALIVE:
            self._beat_ns = now_ns
        elif beat is not Beat.REPEATED:
            self._beat_ns = None

    def _let_go_of_steering(self, reason: ExitReason) -> None:
        self._guidance, self._ready_to_steer = None, False
        self.steering_exit = reason

    # -- actuators

    def step(self, now_ns: int, feedback: MachineFeedback) -> EcuOutput:
        """Advance to ``now_ns``: watch, decide, and send what is due."""
        dt_s = 0.0 if self._stepped_ns is None else (now_ns - self._stepped_ns) / 1e9
        self._stepped_ns = now_ns
        self._module.step(now_ns, feedback)
        self._watch(now_ns)
        demand = self._demand(now_ns, dt_s, feedback)
        self._traction_mps2, self._brake_mps2 = demand.accel_mps2, demand.brake_mps2
        frames = self._module.frames(now_ns, feedback)
        for pgn, cycle in self._cycles.items():
            if cycle.due(now_ns):
                frames.append((self._id(pgn), self._tell(pgn, feedback)))
        return EcuOutput(demand, tuple(frames))

    def _watch(self, now_ns: int) -> None:
        """Let go of what is late. A speed command that ended with set point zero just ends."""
        late_ns = self._adapter.guidance_timeout_ms * _MS
        if self._guidance is not None and now_ns - self._guidance[0] > late_ns:
            self._let_go_of_steering(ExitReason.COMMAND_TIMEOUT)
        if self._speed is None:
            return
        at_ns, command = self._speed
        late = now_ns - at_ns > self._adapter.speed_timeout_ms * _MS
        silent = self._beat_ns is None or now_ns - self._beat_ns > HEARTBEAT_TIMEOUT_NS
        if late or silent:
            self._speed = None
            if silent or command.set_point_mps > 0.0:
                self.speed_exit = ExitReason.COMMAND_TIMEOUT

    def _demand(self, now_ns: int, dt_s: float, feedback: MachineFeedback) -> ActuatorDemand:
        p, module = self._profile, self._module
        command = None if self._speed is None else self._speed[1]
        direction = self._shifted(command, feedback)
        free = command is not None and module.contacts_closed and not module.park
        wanted_mps2 = self._pull_mps2(command, feedback) if free and command is not None else 0.0
        limit_mps = p.reverse_speed_max_mps if direction < 0 else p.speed_max_mps
        commanded_mps = 0.0 if command is None else command.limit_mps
        return ActuatorDemand(
            curvature_per_m=self._steered(dt_s, feedback),
            accel_mps2=min(wanted_mps2, self._traction_mps2 + p.traction_jerk_mps3 * dt_s),
            speed_limit_mps=min(limit_mps, commanded_mps),
            direction=direction,
            brake_mps2=slew(self._brake_mps2, module.brake_mps2(now_ns), p.brake_jerk_mps3 * dt_s),
            park=module.park,
            retarder=self._slowing(now_ns, command),
            implement=module.implement(now_ns),
        )

    def _pull_mps2(self, command: SpeedCommand, feedback: MachineFeedback) -> float:
        """The speed controller: proportional, it reaches the set point within its horizon."""
        short_mps = command.set_point_mps - abs(feedback.speed_mps)
        wanted_mps2 = short_mps / self._adapter.speed_horizon_s
        return min(max(wanted_mps2, 0.0), self._profile.accel_max_mps2)

    def _slowing(self, now_ns: int, command: SpeedCommand | None) -> float:
        """The drive holds back while no speed is wanted."""
        idle = command is None or command.set_point_mps == 0.0
        return max(self._module.retarder(now_ns), 0.3 if idle else 0.0)

    def _shifted(self, command: SpeedCommand | None, feedback: MachineFeedback) -> int:
        if abs(feedback.speed_mps) <= self._profile.direction_change_mps:
            wanted = 0 if command is None else (1 if command.forwards else -1)
            self._direction = wanted
        return self._direction

    def _steered(self, dt_s: float, feedback: MachineFeedback) -> float | None:
        if self._guidance is None:
            self._curvature_per_m = None
            return None
        at = feedback.curvature_per_m if self._curvature_per_m is None else self._curvature_per_m
        rate = self._profile.curvature_rate_per_m_s
        self._curvature_per_m = slew(at, self._guidance[1], rate * dt_s)
        return self._curvature_per_m

    # -- frames out

    def _id(self, pgn: int) -> int:
        adapter = self._adapter
        return Id(PRIORITY, pgn, adapter.tractor, adapter.address).encode()

    def _tell(self, pgn: int, feedback: MachineFeedback) -> bytes:
        speed_mps = abs(feedback.speed_mps)
        told_mps = speed_mps if speed_mps <= 64.0 else None
        if pgn == codec.GUIDANCE_STATE:
            curved = feedback.curvature_per_m
            return codec.encode_guidance_state(
                GuidanceState(
                    curvature_per_m=curved if abs(curved) <= 8.0 else None,
                    locked_out=False,
                    ready=True,
                    limit_status=0,
                    exit_reason=self.steering_exit,
                )
            )
        if pgn == codec.WHEEL_SPEED:
            return codec.encode_wheel_speed(WheelSpeed(told_mps, feedback.speed_mps >= 0.0, True))
        if pgn == codec.SELECTED_SPEED:
            forwards = None if feedback.gear == 0 else feedback.gear > 0
            return codec.encode_selected_speed(SelectedSpeed(told_mps, self.speed_exit, forwards))
        begun = self._own_beat > codec.BEAT_FIRST
        self._own_beat = codec.BEAT_FIRST if begun else codec.next_beat(self._own_beat)
        return codec.encode_beat(self._own_beat)
