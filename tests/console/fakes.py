"""A vehicle and a transport in memory: real frames and real signatures, no network, no clock."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from joserfc.jwk import OKPKey

from operator_console.core.session import ConsoleSession, Outgoing
from operator_console.shell.config import ConsoleSettings, Keys
from protocol.control_peer import CommandPath
from protocol.frames import (
    CommandFrame,
    SessionKeys,
    StateFrame,
    decode_command,
    session_keys,
    vehicle_id,
)
from protocol.messages import (
    AckClaims,
    Identity,
    Outcome,
    RequestClaims,
    RequestKind,
    Role,
    SignalClaims,
    StopClaims,
    Trust,
    generate_identity,
    sign_claims,
    verify_signed,
)
from protocol.state import VehicleMode, VehicleState
from protocol.topics import Topics

OPERATOR = "op-1"
VEHICLE = "truck-07"
TOPICS = Topics("mine", VEHICLE)
MS = 1_000_000
CLOCK_AHEAD_US = 5_000_000_000
"""The vehicle's clock is this far ahead of the console's."""


def identity(name: str, role: Role) -> tuple[OKPKey, Identity]:
    """Return a fresh private key and the identity that others trust."""
    private, public = generate_identity()
    return OKPKey.import_key(dict(private)), Identity(name, role, OKPKey.import_key(dict(public)))


class FakeVehicle:
    """Speaks for a vehicle: announces, grants, states; reads what the console sent."""

    def __init__(self) -> None:
        self.key, own = identity(VEHICLE, Role.VEHICLE)
        self.operator_key, driver = identity(OPERATOR, Role.DRIVER)
        self.trust: Trust = {VEHICLE: own, OPERATOR: driver}
        self.boot_tag = 0xB007
        self.epoch = 4
        self.holder: str | None = None
        self.nonce_count = 1
        self.sequence = 0
        self.keys: SessionKeys | None = None
        self.state = VehicleState(mode=VehicleMode.STANDBY, estop="closed", relay="none")

    @property
    def nonce(self) -> str:
        return f"{self.nonce_count:032x}"

    def authority(self, **changes: Any) -> bytes:
        content = {
            "v": 1,
            "epoch": self.epoch,
            "holder": self.holder,
            "lease_left_ms": 2000,
            "boot": self.boot_tag,
            "nonce": self.nonce,
            "pending": None,
        }
        return json.dumps(content | changes).encode()

    def state_frame(self, stamp_us: int, **changes: Any) -> bytes:
        """Return a state frame stamped by the vehicle's clock."""
        self.state = self.state.model_copy(update=changes)
        self.sequence += 1
        frame = StateFrame(
            leased=self.keys is not None,
            vehicle_id=vehicle_id(VEHICLE),
            key_id=0 if self.keys is None else self.epoch & 0xFFFF,
            epoch=self.epoch,
            sequence=self.sequence,
            boot_tag=self.boot_tag,
            stamp_us=stamp_us,
            json=self.state.to_json(),
        )
        return frame.encode(None if self.keys is None else self.keys.state)

    def request(self, message: Outgoing) -> RequestClaims:
        """Return the proven request in a message."""
        claims = verify_signed(message.payload, self.trust)
        assert isinstance(claims, RequestClaims)
        self.nonce_count += 1
        return claims

    def grant(self, claims: RequestClaims) -> bytes:
        """Grant a lease; return the signed answer."""
        assert claims.x25519 is not None
        self.epoch += 1
        private = X25519PrivateKey.generate()
        self.keys = session_keys(private, bytes.fromhex(claims.x25519), self.boot_tag, self.epoch)
        self.holder = claims.iss
        public = private.public_key().public_bytes_raw().hex()
        return self.answer(
            claims, Outcome.GRANTED, epoch=self.epoch, key_id=self.epoch & 0xFFFF, x25519=public
        )

    def answer(self, claims: RequestClaims, outcome: Outcome, **fields: Any) -> bytes:
        """Return the signed answer to a request."""
        content: dict[str, Any] = {"boot": self.boot_tag, "epoch": self.epoch} | fields
        ack = AckClaims(
            iss=VEHICLE, aud=claims.iss, id=claims.id, kind=claims.kind, outcome=outcome, **content
        )
        return sign_claims(ack, self.key)

    def end_lease(self) -> None:
        self.keys, self.holder = None, None
        self.epoch += 1

    def command(self, message: Outgoing) -> CommandFrame:
        """Return the proven command in a message."""
        assert self.keys is not None
        return decode_command(message.payload, {self.epoch & 0xFFFF: self.keys.command})

    def stop(self, message: Outgoing) -> StopClaims:
        """Return the proven stop in a message."""
        claims = verify_signed(message.payload, self.trust)
        assert isinstance(claims, StopClaims)
        return claims

    def signal(self, message: Outgoing) -> SignalClaims:
        """Return the proven session description in a message."""
        claims = verify_signed(message.payload, self.trust)
        assert isinstance(claims, SignalClaims)
        return claims

    def signal_answer(self, offer: SignalClaims, **changes: Any) -> bytes:
        """Return the signed answer to an offer."""
        content: dict[str, Any] = {
            "iss": VEHICLE,
            "aud": offer.iss,
            "role": "answer",
            "peer": "media",
            "session": offer.session,
            "sdp": "v=0 answer",
        }
        return sign_claims(SignalClaims(**(content | changes)), self.key)


@dataclass
class MemoryTransport:
    """Keeps what was published; ``up`` False refuses as a dead link does."""

    up: bool = True
    sent: list[Outgoing] = field(default_factory=list)

    async def publish(self, message: Outgoing) -> bool:
        if self.up:
            self.sent.append(message)
        return self.up

    def on(self, topic: str) -> list[Outgoing]:
        return [message for message in self.sent if message.topic == topic]


@dataclass
class ManualClock:
    """A clock that stands until it is moved."""

    now_ns: int = 1_000_000 * MS

    def __call__(self) -> int:
        return self.now_ns

    def advance_ms(self, ms: float) -> int:
        self.now_ns += round(ms * MS)
        return self.now_ns


def console_settings(port: int = 0, *, simulated: bool = True) -> ConsoleSettings:
    return ConsoleSettings.model_validate(
        {
            "console": {
                "operator": OPERATOR,
                "site": "mine",
                "vehicle": VEHICLE,
                "port": port,
                "simulated": simulated,
            },
            "mqtt": {"host": "127.0.0.1", "port": 1},
            "keys": {"device": "unused", "trust": "unused"},
        }
    )


def console_keys(vehicle: FakeVehicle) -> Keys:
    return Keys(vehicle.operator_key, vehicle.trust)


def input_message(sequence: int, **changes: Any) -> dict[str, Any]:
    """Return a page's input message with all controls at rest."""
    return {
        "t": "input",
        "seq": sequence,
        "steer": 0.0,
        "throttle": 0.0,
        "brake": 0.0,
        "enable": False,
        "gear": 0,
        "park": False,
        "horn": False,
        "lights": False,
        "implement": 0.0,
    } | changes


def view_message(frame: int, capture_us: int, **changes: Any) -> dict[str, Any]:
    """Return a page's report of a presented picture."""
    return {
        "t": "view",
        "camera": 0,
        "frame": frame,
        "capture_us": capture_us,
        "visible": True,
    } | changes


class Rig:
    """A session with its vehicle and a clock that both share, ``CLOCK_AHEAD_US`` apart."""

    def __init__(self, *, simulated: bool = True) -> None:
        self.vehicle = FakeVehicle()
        self.clock = ManualClock()
        self.session = ConsoleSession(
            OPERATOR,
            TOPICS,
            self.vehicle.operator_key,
            self.vehicle.trust,
            simulated=simulated,
        )
        self.session.words(True)
        self.session.path(CommandPath.MQTT, True)
        self.inputs = 0
        self.frames = 0

    @property
    def now_ns(self) -> int:
        return self.clock.now_ns

    @property
    def vehicle_us(self) -> int:
        return self.now_ns // 1000 + CLOCK_AHEAD_US

    def hear_state(self, **changes: Any) -> None:
        self.session.hear_state(self.vehicle.state_frame(self.vehicle_us, **changes), self.now_ns)

    def ask(self, kind: str) -> RequestClaims:
        """Let the driver ask for something; return the signed request."""
        self.session.hear_authority(self.vehicle.authority(), self.now_ns)
        assert self.session.act(kind, self.now_ns)
        message = self.session.next_request(self.now_ns)
        assert message is not None
        return self.vehicle.request(message)

    def lease(self) -> None:
        """Take control and hear the first proven state."""
        claims = self.ask(RequestKind.LEASE)
        assert self.session.hear_ack(self.vehicle.grant(claims), self.now_ns) is not None
        self.session.hear_authority(self.vehicle.authority(), self.now_ns)
        self.step(20, mode=VehicleMode.LEASED)

    def step(self, ms: float, **changes: Any) -> None:
        """Let time pass; then a state arrives."""
        self.clock.advance_ms(ms)
        self.hear_state(**changes)

    def drive_input(self, **changes: Any) -> None:
        self.inputs += 1
        assert self.session.driver_input(input_message(self.inputs, **changes), self.now_ns)

    def show_picture(self, age_ms: float = 40, **changes: Any) -> None:
        self.frames += 1
        capture_us = self.vehicle_us - round(age_ms * 1000)
        message = view_message(self.frames, capture_us, **changes)
        assert self.session.driver_view(message, self.now_ns)

    def command(self) -> CommandFrame:
        """Return the command that is due now."""
        message = self.session.next_command(self.now_ns)
        assert message is not None
        return self.vehicle.command(message)

    def ready_to_enable(self) -> None:
        """Leased, armed, picture live, enable seen open."""
        self.lease()
        self.show_picture()
        self.drive_input()
        self.step(20, mode=VehicleMode.ARMED)
        self.drive_input()
        self.command()
        self.clock.advance_ms(20)


async def still_runs(work: Coroutine[Any, Any, None], when: asyncio.Event) -> bool:
    """Run the work until the event comes; return whether it had not ended by then."""
    running, waiting = asyncio.create_task(work), asyncio.create_task(when.wait())
    await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
    goes_on = not running.done()
    running.cancel()
    waiting.cancel()
    await asyncio.gather(running, waiting, return_exceptions=True)
    return goes_on
