"""A console without page, broker or picture, for loads: takes the lease, and drives the truck.

:class:`Console` is free of I/O. As a program it sits in the link's place at the guardian's
socket, sends a command each 20 ms as the real console does, steers by the simulator's truth, and
drives in spells: it stops, lets enable go and presses it again, so that each spell brings the
warning before motion and the record's writes. It prints ``ready`` when the machine is first
ACTIVE and one JSON line with what it did when it ends.
"""

from __future__ import annotations

import argparse
import gc
import json
import secrets
import select
import signal
import sys
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from joserfc.jwk import OKPKey

from protocol.control_peer import CommandPath
from protocol.frames import (
    FULL_SCALE,
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
    Outcome,
    RequestClaims,
    RequestKind,
    load_private_key,
    load_trust,
    sign_claims,
    verify_signed,
)
from protocol.profiles import parse_profile
from protocol.state import VehicleMode, VehicleState, parse_state
from sim.pursuit import Controls, Pose, Pursuit
from sim.world.site import load_site
from vehicle_agent.shell import ipc
from vehicle_agent.shell.clock import monotonic_ns
from vehicle_agent.shell.local_bus import DatagramFanout
from vehicle_agent.shell.realtime import ask_priority

_S = 1_000_000_000
PERIOD_NS = 20_000_000
ASK_AGAIN_NS = _S
TTL_MS = 250
SPELL_NS = 5 * _S
LET_GO_NS = _S // 2
STANDSTILL_MPS = 0.05
SURE_NS = _S
"""Enable is let go when the machine, too, is sure that it stands."""
PRIORITY = 40
"""It stands in for another computer: no load on this one may hold it up."""
DRIVING = frozenset({VehicleMode.ACTIVE, VehicleMode.DEGRADED})
STOPPED = frozenset({VehicleMode.STOPPED, VehicleMode.ESTOP})
REST = Controls(0.0, 0.0, 0.0)


class Foot(Enum):
    """Where in a spell the driver is."""

    DRIVES = auto()
    STOPS = auto()
    LETS_GO = auto()


@dataclass(slots=True)
class Count:
    """What was sent, and what came of it."""

    commands: int = 0
    drive_commands: int = 0
    spells: int = 0
    stops: list[str | None] = field(default_factory=list)


class Console:
    """One operator at one vehicle; every time is passed in, monotonic ns.

    Args:
        operator, vehicle: their names. key: the operator's. trust: whom he believes.
    """

    def __init__(
        self,
        operator: str,
        vehicle: str,
        key: OKPKey,
        trust: dict[str, Identity],
        pursuit: Pursuit,
    ) -> None:
        self.count = Count()
        self.state: VehicleState | None = None
        self._operator, self._vehicle, self._key, self._trust = operator, vehicle, key, trust
        self._pursuit = pursuit
        self._authority: dict[str, Any] | None = None
        self._own = X25519PrivateKey.generate()
        self._lease: AckClaims | None = None
        self._keys: SessionKeys | None = None
        self._echo: tuple[int, int] | None = None
        self._asked_ns = 0
        self._sequence = 0
        self._foot = Foot.DRIVES
        self._since_ns = 0
        self._moved_ns = 0

    @property
    def drives(self) -> bool:
        """The vehicle drives as he asks."""
        return self.state is not None and self.state.mode in DRIVING

    def hear_state(self, now_ns: int, payload: bytes) -> None:
        """Take a state frame."""
        frame = decode_state(payload, {}).frame
        before, self.state = self.state, parse_state(frame.json)
        self._echo = (frame.stamp_us, now_ns)
        was = before is not None and before.mode in DRIVING
        if was and self.state.mode in STOPPED | {VehicleMode.STOPPING}:
            self.count.stops.append(self.state.cause)
        if not was and self.drives:
            self.count.spells += 1
            self._step(Foot.DRIVES, now_ns)

    def hear_authority(self, payload: bytes) -> None:
        """Take the vehicle's announcement."""
        self._authority = json.loads(payload)

    def hear_answer(self, token: bytes) -> None:
        """Take an answer; a granted lease is kept."""
        claims = verify_signed(token, self._trust)
        granted = isinstance(claims, AckClaims) and claims.outcome is Outcome.GRANTED
        if granted and isinstance(claims, AckClaims) and claims.x25519 is not None:
            peer = bytes.fromhex(claims.x25519)
            self._lease = claims
            self._keys = session_keys(self._own, peer, claims.boot, claims.epoch)

    def request(self, now_ns: int) -> bytes | None:
        """Return what he asks for now, if anything; at most one a second."""
        told, state = self._authority, self.state
        if told is None or state is None or now_ns - self._asked_ns < ASK_AGAIN_NS:
            return None
        kind = self._wanted(state)
        if kind is None:
            return None
        self._asked_ns = now_ns
        return self._signed(kind)

    def release(self) -> bytes:
        """Return the request that gives the lease back."""
        return self._signed(RequestKind.RELEASE)

    def command(self, now_ns: int, pose: Pose | None) -> bytes | None:
        """Return the command of this moment; None without a lease or an echo."""
        if self._lease is None or self._keys is None or self._echo is None or self.state is None:
            return None
        wish = self._wish(now_ns, pose)
        self._sequence += 1
        self.count.commands += 1
        self.count.drive_commands += bool(wish.get("gear"))
        stamp_us, heard_ns = self._echo
        return CommandFrame(
            vehicle_id=vehicle_id(self._vehicle),
            key_id=self._lease.key_id,
            ttl_ms=TTL_MS,
            epoch=self._lease.epoch,
            sequence=self._sequence,
            boot_tag=self._lease.boot,
            echo_hold_us=(now_ns - heard_ns) // 1000,
            source_stamp_us=now_ns // 1000,
            echo_stamp_us=stamp_us,
            view_stamp_us=stamp_us,
            display_ok=True,
            **wish,
        ).encode(self._keys.command)

    def _wanted(self, state: VehicleState) -> RequestKind | None:
        if self._lease is None:
            return RequestKind.LEASE
        if state.blockers:
            return None
        if state.mode in STOPPED:
            return RequestKind.RESET
        return RequestKind.ARM if state.mode is VehicleMode.LEASED else None

    def _signed(self, kind: RequestKind) -> bytes:
        told = self._authority or {}
        asks = kind is RequestKind.LEASE
        claims = RequestClaims(
            iss=self._operator,
            aud=self._vehicle,
            id=secrets.token_hex(16),
            kind=kind,
            nonce=told["nonce"],
            boot=told["boot"],
            epoch=0 if asks or self._lease is None else self._lease.epoch,
            x25519=self._own.public_key().public_bytes_raw().hex() if asks else None,
        )
        return sign_claims(claims, self._key)

    def _step(self, foot: Foot, now_ns: int) -> None:
        self._foot, self._since_ns = foot, now_ns

    def _wish(self, now_ns: int, pose: Pose | None) -> dict[str, Any]:
        assert self.state is not None
        long_ns = now_ns - self._since_ns
        if self._foot is Foot.LETS_GO and long_ns > LET_GO_NS and not self.drives:
            self._step(Foot.DRIVES, now_ns)
        if self._foot is Foot.LETS_GO:
            return {"kind": CommandKind.PARKED, "neutral": True}
        if self.state.mode is VehicleMode.ARMED and "D102" not in self.state.blockers:
            return {"kind": CommandKind.DRIVE, "enable": True, "neutral": True}
        if not self.drives:
            return {"kind": CommandKind.PARKED, "neutral": True}
        if self._foot is Foot.DRIVES and long_ns > SPELL_NS:
            self._step(Foot.STOPS, now_ns)
        speed_mps = self.state.speed_mps
        if speed_mps is None or abs(speed_mps) > STANDSTILL_MPS:
            self._moved_ns = now_ns
        if self._foot is Foot.STOPS and now_ns - self._moved_ns > SURE_NS:
            self._step(Foot.LETS_GO, now_ns)
        return _driving(self._controls(pose))

    def _controls(self, pose: Pose | None) -> Controls:
        if pose is None:
            return REST
        pursuit = self._pursuit
        return pursuit.controls(pose) if self._foot is Foot.DRIVES else pursuit.stopping(pose)


def _driving(controls: Controls) -> dict[str, Any]:
    return {
        "kind": CommandKind.DRIVE,
        "enable": True,
        "gear": 1,
        "steer": round(controls.steer * FULL_SCALE),
        "throttle": round(controls.throttle * FULL_SCALE),
        "brake": round(controls.brake * FULL_SCALE),
    }


def pose_of(truth: dict[str, Any]) -> Pose:
    """Return where the simulator's truth says that the machine is."""
    return Pose(
        truth["x_m"],
        truth["y_m"],
        truth["heading_rad"],
        truth["speed_mps"],
        truth["curvature_per_m"],
    )


class Seat:
    """The console at the guardian's socket and the simulator's truth."""

    def __init__(self, console: Console, operator: str, runtime: Path, truth: Path) -> None:
        self.report: dict[str, Any] = {}
        self._console, self._operator = console, operator
        self._mailbox = ipc.Mailbox(runtime, ipc.LINK)
        self._truth = DatagramFanout(truth, "light-console")
        self._pose: Pose | None = None

    def hear(self, now_ns: int) -> None:
        """Take what waits."""
        newest: bytes | None = None
        while (data := self._truth.recv()) is not None:
            newest = data
        if newest is not None:
            self._pose = pose_of(json.loads(newest))
        while (datagram := self._mailbox.receive()) is not None:
            self._take(now_ns, datagram[:1], datagram[1:])

    def _take(self, now_ns: int, kind: bytes, body: bytes) -> None:
        addressed = ipc.split_name(body)
        if kind == ipc.TO_LINK_STATE:
            self._console.hear_state(now_ns, body)
        elif kind == ipc.TO_LINK_AUTHORITY:
            self._console.hear_authority(body)
        elif kind == ipc.TO_LINK_ACK and addressed is not None:
            self._console.hear_answer(addressed.content)
        elif kind == ipc.TO_LINK_TELEMETRY and addressed and addressed.name == "guardian":
            self.report = json.loads(addressed.content)

    def speak(self, now_ns: int) -> None:
        """Send what is due: a request, a command."""
        request = self._console.request(now_ns)
        if request is not None:
            self.ask(request)
        command = self._console.command(now_ns, self._pose)
        if command is not None:
            path = bytes([CommandPath.MQTT])
            self._mailbox.send(ipc.GUARDIAN, ipc.TO_GUARDIAN_COMMAND + path + command)

    def ask(self, token: bytes) -> None:
        """Send a request."""
        datagram = ipc.with_name(ipc.TO_GUARDIAN_REQUEST, self._operator, token)
        self._mailbox.send(ipc.GUARDIAN, datagram)

    def wait_until(self, due_ns: int) -> None:
        """Hear states as they come, so that their echo is held right, until ``due_ns``."""
        while (left_ns := due_ns - monotonic_ns()) > 0:
            if select.select([self._mailbox], [], [], left_ns / 1e9)[0]:
                self.hear(monotonic_ns())

    def close(self) -> None:
        """Leave."""
        self._mailbox.close()
        self._truth.close()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks._console", description=__doc__)
    for name in ("--site", "--machine", "--truth", "--runtime", "--key", "--trust"):
        parser.add_argument(name, type=Path, required=True)
    for name in ("--operator", "--vehicle"):
        parser.add_argument(name, required=True)
    return parser.parse_args()


def main() -> int:
    """Drive until SIGTERM."""
    chosen = _arguments()
    ended = False

    def end(_number: int, _frame: object) -> None:
        nonlocal ended
        ended = True

    signal.signal(signal.SIGTERM, end)
    profile = parse_profile(chosen.machine.read_text(encoding="utf-8"), str(chosen.machine))
    console = Console(
        chosen.operator,
        chosen.vehicle,
        load_private_key(chosen.key.read_text(encoding="utf-8")),
        load_trust(chosen.trust.read_text(encoding="utf-8")),
        Pursuit(load_site(chosen.site), profile.limits),
    )
    seat = Seat(console, chosen.operator, chosen.runtime, chosen.truth)
    gc.collect()
    gc.freeze()
    ask_priority(PRIORITY)
    due_ns, told = monotonic_ns(), False
    while not ended:
        seat.hear(monotonic_ns())
        seat.speak(monotonic_ns())
        if console.drives and not told:
            told = True
            sys.stdout.write("ready\n")
            sys.stdout.flush()
        due_ns = max(due_ns + PERIOD_NS, monotonic_ns())
        seat.wait_until(due_ns)
    seat.ask(console.release())
    seat.close()
    count = console.count
    done = {
        "commands": count.commands,
        "drive_commands": count.drive_commands,
        "spells": count.spells,
        "stops": count.stops,
        "guardian": seat.report,
    }
    sys.stdout.write(json.dumps(done) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
