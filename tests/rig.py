"""A machine and a console in lock-step under a clock that the test moves: no process, no wait."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc.jwk import OKPKey

from protocol.dbw import codec
from protocol.dbw.codec import ContactState, EcuMode, ExitReason, ParkState
from protocol.dbw.endpoint import DbwReceiver, DbwSender
from protocol.dbw.matrix import Direction
from protocol.frames import (
    CommandFrame,
    CommandKind,
    SessionKeys,
    decode_state,
    session_keys,
    vehicle_id,
)
from protocol.messages import (
    AckClaims,
    Identity,
    RequestClaims,
    RequestKind,
    Role,
    StopClaims,
    generate_identity,
    sign_claims,
    verify_signed,
)
from protocol.profiles import MachineProfile, parse_profile
from protocol.signals import DEFAULT_TIMING, Timing
from protocol.state import VehicleMode, VehicleState, parse_state
from vehicle_agent.core.record import FIRST, Record
from vehicle_agent.core.supervisor import Setup, Supervisor, TickInputs, TickOutputs

MS = 1_000_000
TICK_NS = 10 * MS
VEHICLE = "TRUCK-07"
START_NS = 3_847_124_342_000_000
"""An odd, large start: nothing may depend on time beginning at zero."""
ASKS_LEASE = (RequestKind.LEASE, RequestKind.TAKE_OVER)
MACHINE_FILE = Path(__file__).parents[1] / "configs" / "machines" / "ug_truck_60t.toml"


def machine_profile() -> MachineProfile:
    return parse_profile(MACHINE_FILE.read_text(encoding="utf-8"), MACHINE_FILE.name)


def new_identity(name: str, role: Role) -> tuple[OKPKey, Identity]:
    private, public = generate_identity()
    return OKPKey.import_key(dict(private)), Identity(name, role, OKPKey.import_key(dict(public)))


PEOPLE: dict[str, tuple[OKPKey, Identity]] = {
    name: new_identity(name, role)
    for name, role in (
        ("console-1", Role.DRIVER),
        ("console-2", Role.DRIVER),
        ("chief", Role.SUPERVISOR),
        ("watcher", Role.OBSERVER),
        ("gate", Role.STOP_ONLY),
        (VEHICLE, Role.VEHICLE),
    )
}
TRUST = {name: identity for name, (_, identity) in PEOPLE.items()}


@dataclass
class FakeEcu:
    """An ECU that reports what the test sets and follows enable."""

    speed_mps: float = 0.0
    mode: EcuMode = EcuMode.STANDBY
    follows: bool = True
    silent: bool = False
    estop_a: ContactState = ContactState.CLOSED
    estop_b: ContactState = ContactState.CLOSED
    key_remote: bool = True
    supply_v: float = 24.0
    pitch_rad: float = 0.0
    curvature_per_m: float | None = None
    brake_mps2: float | None = None
    session_shift: int = 0
    received: DbwReceiver = field(default_factory=lambda: DbwReceiver(Direction.TO_ECU))
    sender: DbwSender = field(default_factory=DbwSender)
    sup: codec.SupCommand | None = None
    steer: codec.SteerCommand | None = None
    drive: codec.DriveCommand | None = None
    brake: codec.BrakeCommand | None = None

    @property
    def braking(self) -> bool:
        return self.brake is not None and self.brake.decel_mps2 > 0.1

    @property
    def session(self) -> int:
        active = self.sup is not None and self.mode is EcuMode.ACTIVE
        return (self.sup.session + self.session_shift) & 0xFFFF if self.sup and active else 0

    def take(self, now_ns: int, frames: tuple[tuple[int, bytes], ...]) -> None:
        for can_id, data in frames:
            match self.received.receive(now_ns, can_id, data).message:
                case codec.SupCommand() as message:
                    self.sup = message
                    if self.follows and self.mode is not EcuMode.FAULT:
                        self.mode = EcuMode.ACTIVE if message.enable else EcuMode.STANDBY
                case codec.SteerCommand() as message:
                    self.steer = message
                case codec.DriveCommand() as message:
                    self.drive = message
                case codec.BrakeCommand() as message:
                    self.brake = message

    def frames(self, number: int) -> tuple[tuple[int, bytes], ...]:
        if self.silent:
            return ()
        encode = self.sender.encode
        steer = self.curvature_per_m
        if steer is None:
            steer = self.steer.curvature_per_m if self.steer else 0.0
        brake = self.brake_mps2
        if brake is None:
            brake = self.brake.decel_mps2 if self.brake else 0.0
        frames = [encode(codec.SteerFeedback(steer * 6.0, steer, 0))]
        if number % 2 == 0:
            park = (
                ParkState.APPLIED if self.brake is None or self.brake.park else ParkState.RELEASED
            )
            frames += [
                encode(codec.EcuState(self.mode, 0, ExitReason(0), 0, 0, self.session)),
                encode(
                    codec.SafetyIo(
                        self.estop_a,
                        self.estop_b,
                        False,
                        ContactState.CLOSED,
                        self.key_remote,
                        False,
                        self.supply_v,
                    )
                ),
                encode(codec.DriveFeedback(self.speed_mps, 900.0, 0, 0.0)),
                encode(codec.BrakeFeedback(brake, 80.0, park, 0)),
                encode(codec.Motion(0.0, 0.0, self.pitch_rad, 0.0)),
            ]
        return tuple(frames)


@dataclass
class FakeConsole:
    """A console that sends what the test sets, honestly fresh unless told otherwise."""

    name: str = "console-1"
    private: X25519PrivateKey = field(default_factory=X25519PrivateKey.generate)
    keys: SessionKeys | None = None
    key_id: int = 0
    epoch: int = 0
    boot: int = 0
    nonce: str = "0" * 32
    sequence: int = 0
    echo_us: int = 0
    echo_ns: int = 0
    view_lag_ms: int | None = 60
    sends: bool = True
    wish: dict[str, Any] = field(
        default_factory=lambda: {"neutral": True, "display_ok": True, "kind": CommandKind.PARKED}
    )

    @property
    def ready(self) -> bool:
        """A lease and a first proven state: without an echo there is nothing to send."""
        return self.keys is not None and self.echo_us > 0

    @property
    def public(self) -> str:
        return self.private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()

    def request(self, kind: RequestKind, **changes: Any) -> bytes:
        claims = RequestClaims(
            iss=self.name,
            aud=VEHICLE,
            id="ab" * 16,
            kind=kind,
            nonce=self.nonce,
            boot=self.boot,
            epoch=0 if kind in ASKS_LEASE else self.epoch,
            x25519=self.public if kind in ASKS_LEASE else None,
        ).model_copy(update=changes)
        return sign_claims(claims, PEOPLE[self.name][0])

    def stop(self, stamp_us: int, stop_id: str = "cd" * 16) -> bytes:
        claims = StopClaims(
            iss=self.name, aud=VEHICLE, id=stop_id, boot=self.boot, stamp_us=stamp_us
        )
        return sign_claims(claims, PEOPLE[self.name][0])

    def frame(self, now_ns: int, **changes: Any) -> CommandFrame:
        self.sequence += 1
        view_us = 0 if self.view_lag_ms is None else now_ns // 1000 - self.view_lag_ms * 1000
        values: dict[str, Any] = {
            "vehicle_id": vehicle_id(VEHICLE),
            "key_id": self.key_id,
            "ttl_ms": 250,
            "epoch": self.epoch,
            "sequence": self.sequence,
            "boot_tag": self.boot,
            "echo_hold_us": max(0, now_ns - self.echo_ns) // 1000,
            "source_stamp_us": 0,
            "echo_stamp_us": self.echo_us,
            "view_stamp_us": view_us,
        }
        return CommandFrame(**{**values, **self.wish, **changes})

    def command(self, now_ns: int, **changes: Any) -> bytes:
        assert self.keys is not None
        return self.frame(now_ns, **changes).encode(self.keys.command)

    def hear_state(self, now_ns: int, data: bytes) -> VehicleState:
        keys = {} if self.keys is None else {self.key_id: self.keys.state}
        envelope = decode_state(data, keys)
        self.boot = envelope.frame.boot_tag
        if envelope.authentic:
            self.echo_us, self.echo_ns = envelope.frame.stamp_us, now_ns
        return parse_state(envelope.frame.json)

    def hear_ack(self, token: bytes) -> AckClaims:
        claims = verify_signed(token, TRUST)
        assert isinstance(claims, AckClaims)
        if claims.x25519 is not None:
            peer = bytes.fromhex(claims.x25519)
            self.keys = session_keys(self.private, peer, claims.boot, claims.epoch)
            self.key_id, self.epoch, self.boot = claims.key_id, claims.epoch, claims.boot
            self.sequence, self.echo_us = 0, 0
        return claims


class Rig:
    """Supervisor, fake ECU and consoles; one call of :meth:`tick` is 10 ms."""

    def __init__(
        self,
        timing: Timing = DEFAULT_TIMING,
        record: Record = FIRST,
        paths: frozenset[int] = frozenset({0}),
        boot_tag: int = 0x5EED_0001,
    ) -> None:
        self.profile = machine_profile()
        self.now_ns = START_NS
        self.ecu = FakeEcu()
        self.console = FakeConsole()
        self.others: list[FakeConsole] = []
        self.setup = Setup(
            vehicle=VEHICLE,
            key=PEOPLE[VEHICLE][0],
            trust=TRUST,
            limits=self.profile.limits,
            timing=timing,
            boot_tag=boot_tag,
            seed=bytes(range(32)),
            record=record,
            paths=paths,
        )
        self.supervisor = Supervisor(self.setup)
        self.durable: Record | None = record
        self.disk_works = True
        self.state: VehicleState | None = None
        self.acks: list[AckClaims] = []
        self.events: list[str] = []
        self.authority: dict[str, Any] = {}
        self.telemetry: dict[str, Any] = {}
        self.inputs: list[tuple[int, TickInputs]] = []
        self.outputs: list[TickOutputs] = []
        self._requests: list[tuple[str, bytes]] = []
        self._stops: list[tuple[str, bytes]] = []
        self._extra: list[tuple[int, bytes]] = []
        self._retained: list[int] = []
        self._strange: tuple[tuple[int, bytes], ...] = ()
        self._number = 0
        self._bus: tuple[tuple[int, bytes], ...] = ()
        self.downlink = True
        self.ways: tuple[int, ...] = (0,)

    @property
    def mode(self) -> VehicleMode:
        return self.supervisor.mode

    def is_in(self, *modes: VehicleMode) -> bool:
        return self.supervisor.mode in modes

    def ask(self, kind: RequestKind, console: FakeConsole | None = None, **changes: Any) -> None:
        who = console or self.console
        self._requests.append((who.name, who.request(kind, **changes)))

    def press_stop(self, console: FakeConsole, stop_id: str = "cd" * 16, age_ms: int = 20) -> None:
        token = console.stop(self.now_ns // 1000 - age_ms * 1000, stop_id)
        self._stops.append((console.name, token))

    def inject(self, data: bytes, path: int = 0) -> None:
        self._extra.append((path, data))

    def inject_bus(self, frames: tuple[tuple[int, bytes], ...]) -> None:
        self._strange += frames

    def inject_retained(self, path: int = 0) -> None:
        self._retained.append(path)

    def scans(self) -> tuple[bytes, ...]:
        """What a range finder has sent; none is fitted here."""
        return ()

    def places(self) -> tuple[bytes, ...]:
        """What a locator has said; none is fitted here."""
        return ()

    def nearby(self) -> tuple[bytes, ...]:
        """What short-range sensors have said; none are fitted here."""
        return ()

    def tick(self, step_ns: int = TICK_NS) -> TickOutputs:
        self.now_ns += step_ns
        self._number += 1
        console = self.console
        commands = list(self._extra)
        self._extra = []
        if console.sends and console.ready and self._number % 2 == 0:
            data = console.command(self.now_ns - 4 * MS)
            commands += [(path, data) for path in self.ways]
        given = TickInputs(
            commands=tuple(commands),
            requests=tuple(self._requests),
            stops=tuple(self._stops),
            retained=tuple(self._retained),
            bus=self.ecu.frames(self._number) + self._strange,
            durable=self.durable,
            scans=self.scans(),
            places=self.places(),
            nearby=self.nearby(),
        )
        self._requests, self._stops, self._retained = [], [], []
        self._strange = ()
        self.durable = None
        outputs = self.supervisor.step(self.now_ns, given)
        self.inputs.append((self.now_ns, given))
        self.outputs.append(outputs)
        self._deliver(outputs)
        return outputs

    def _deliver(self, outputs: TickOutputs) -> None:
        self.ecu.take(self.now_ns, outputs.bus)
        if outputs.persist is not None and self.disk_works:
            self.durable = outputs.persist
        if outputs.state is not None and self.downlink:
            for console in (self.console, *self.others):
                self.state = console.hear_state(self.now_ns + 3 * MS, outputs.state)
        if outputs.authority is not None:
            self.authority = json.loads(outputs.authority)
            for console in (self.console, *self.others):
                console.nonce, console.boot = self.authority["nonce"], self.authority["boot"]
        for operator, token in outputs.acks:
            for console in (self.console, *self.others):
                if console.name == operator:
                    self.acks.append(console.hear_ack(token))
        self.events += outputs.events
        self.telemetry |= {group: json.loads(content) for group, content in outputs.telemetry}

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds * 1e9 / TICK_NS)):
            self.tick()

    def run_until(self, done: Callable[[], bool], within_s: float) -> float:
        for number in range(round(within_s * 1e9 / TICK_NS)):
            if done():
                return number * TICK_NS / 1e9
            self.tick()
        raise AssertionError(f"not within {within_s} s: mode {self.mode}, state {self.state}")

    # -- steps of a drive -------------------------------------------------------------------

    def lease(self) -> None:
        self.run(0.5)
        self.ask(RequestKind.LEASE)
        self.run(0.1)

    def arm(self) -> None:
        self.lease()
        self.run(2.5)
        self.ask(RequestKind.ARM)
        self.run(0.1)
        assert self.mode is VehicleMode.ARMED, self.acks

    def hold_enable(self, **wish: Any) -> None:
        self.console.wish = {
            "kind": CommandKind.DRIVE,
            "enable": True,
            "neutral": True,
            "display_ok": True,
            **wish,
        }

    def activate(self) -> None:
        self.arm()
        self.hold_enable()
        self.run(3.2)
        assert self.mode is VehicleMode.ACTIVE, (self.mode, self.state)

    def drive(self, speed_mps: float = 4.0, **wish: Any) -> None:
        """Be under way: throttle pressed, gear forwards, the machine moving."""
        self.activate()
        self.hold_enable(**{"neutral": False, "throttle": 3000, "gear": 1, **wish})
        self.run(0.2)
        self.ecu.speed_mps = speed_mps
        self.run(0.5)
        assert self.mode is VehicleMode.ACTIVE, self.state

    def halt(self) -> None:
        """Let the machine come to rest and its controls with it."""
        self.ecu.speed_mps = 0.0
        self.console.wish = {"kind": CommandKind.PARKED, "neutral": True, "display_ok": True}


def prefixes(data: bytes) -> Iterator[bytes]:
    """Every proper prefix of ``data``."""
    return (data[:size] for size in range(len(data)))


__all__ = ["MS", "PEOPLE", "TRUST", "FakeConsole", "FakeEcu", "Rig", "prefixes", "replace"]
