"""Someone else at the broker: hears everything, publishes anything, signs with a key of its own.

It takes the part of a second console, of an old holder, and of whoever recorded the traffic.
"""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import paho.mqtt.client as mqtt
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from paho.mqtt.enums import CallbackAPIVersion

from protocol.errors import ProtocolError
from protocol.frames import (
    COMMAND_BYTES,
    CommandFrame,
    CommandKind,
    SessionKeys,
    decode_state,
    session_keys,
    vehicle_id,
)
from protocol.messages import (
    AckClaims,
    Outcome,
    RequestClaims,
    RequestKind,
    StopClaims,
    load_private_key,
    load_trust,
    sign_claims,
    verify_signed,
)
from protocol.state import VehicleState, parse_state
from protocol.topics import Topics
from sim import demo
from sim.faults.rehearsal import SOURCE_STAMP_OFFSET, Rehearsal
from vehicle_agent.shell import clock

EPOCH_OFFSET, SEQUENCE_OFFSET = 12, 16
ANSWER_WITHIN_S = 1.5
ASK_AGAIN_S = 1.0
TRIES = 5
TTL_MS = 250
AHEAD = 1_000_000
"""Commands: at 50 a second more than five hours."""


@dataclass(frozen=True, slots=True)
class Caught:
    """A command frame seen at the broker, and when it was seen."""

    at_ns: int
    topic: str
    payload: bytes

    @property
    def epoch(self) -> int:
        """Of the lease that it claims."""
        return _number(self.payload, EPOCH_OFFSET, 4)

    @property
    def sequence(self) -> int:
        """Of this command within its lease."""
        return sequence_of(self.payload)

    @property
    def source_ns(self) -> int:
        """When it left its console, by the console's monotonic clock."""
        return _number(self.payload, SOURCE_STAMP_OFFSET, 8) * 1000


def sequence_of(frame: bytes) -> int:
    """Return a command frame's sequence."""
    return _number(frame, SEQUENCE_OFFSET, 4)


def _number(data: bytes, offset: int, size: int) -> int:
    return int.from_bytes(data[offset : offset + size], "little")


@dataclass(frozen=True, slots=True)
class Told:
    """A state frame seen at the broker, and when it was seen."""

    at_ns: int
    stamp_us: int
    epoch: int
    boot_tag: int
    state: VehicleState


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease that the vehicle granted to the intruder."""

    epoch: int
    key_id: int
    boot_tag: int
    keys: SessionKeys


@dataclass(slots=True)
class Catch:
    """What was heard, newest last; appended by the client's thread only."""

    commands: list[Caught] = field(default_factory=list)
    states: list[Told] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    event_stamps_us: list[tuple[str, int]] = field(default_factory=list)
    answers: list[AckClaims] = field(default_factory=list)
    authority: dict[str, Any] = field(default_factory=dict)


class Intruder:
    """A client of the demo's broker with the key of ``operator``; a context manager."""

    def __init__(self, running: Rehearsal, operator: str = demo.OPERATORS[1]) -> None:
        run = running.plan.run
        self.operator = operator
        self.topics = Topics(demo.SITE_ID, demo.VEHICLE_ID)
        self.heard = Catch()
        self._running = running
        self._key = load_private_key((run / f"{operator}.jwk").read_text(encoding="utf-8"))
        self._trust = load_trust((run / "trust.json").read_text(encoding="utf-8"))
        self._sequence = 0
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id=f"intruder-{secrets.token_hex(4)}"
        )

    def __enter__(self) -> Intruder:
        topics = self.topics
        alone = (topics.state, topics.authority, topics.event)
        wanted = (*alone, topics.all_of("cmd"), topics.all_of("ack"))

        def subscribe(client: mqtt.Client, *_: Any) -> None:
            client.subscribe([(topic, 0) for topic in wanted])

        self._client.on_connect = subscribe
        self._client.on_message = lambda _client, _data, message: self._hear(message)
        self._client.connect(demo.HOST, self._running.plan.mqtt_port)
        self._client.loop_start()
        self._until(lambda: bool(self.heard.authority), "the vehicle's announcement")
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    # -- what is heard

    def _hear(self, message: mqtt.MQTTMessage) -> None:
        now_ns, payload = clock.monotonic_ns(), bytes(message.payload)
        topic = str(message.topic)
        with contextlib.suppress(ProtocolError, ValueError):
            if topic == self.topics.state:
                frame = decode_state(payload, {}).frame
                state = parse_state(frame.json)
                told = Told(now_ns, frame.stamp_us, frame.epoch, frame.boot_tag, state)
                self.heard.states.append(told)
            elif topic == self.topics.authority:
                self.heard.authority = json.loads(payload)
            elif topic == self.topics.event:
                event = json.loads(payload)
                self.heard.event_stamps_us.append((event["id"], event["stamp_us"]))
                self.heard.events.append(event["id"])
            elif self.topics.author(topic, "ack") is not None:
                claims = verify_signed(payload, self._trust)
                if isinstance(claims, AckClaims):
                    self.heard.answers.append(claims)
            elif len(payload) == COMMAND_BYTES:
                self.heard.commands.append(Caught(now_ns, topic, payload))

    def caught_from(self, operator: str) -> list[Caught]:
        """Return the command frames that came on one operator's topic."""
        topic = self.topics.cmd(operator)
        return [each for each in self.heard.commands if each.topic == topic]

    # -- what is said

    def publish(self, topic: str, payload: bytes, *, qos: int = 0, retain: bool = False) -> int:
        """Publish anything; return when, monotonic ns."""
        at_ns = clock.monotonic_ns()
        self._client.publish(topic, payload, qos, retain)
        return at_ns

    def send_all(self, topic: str, frames: Sequence[bytes], period_s: float) -> None:
        """Publish command frames one after the other, ``period_s`` apart."""
        for frame in frames:
            self.publish(topic, frame)
            self._running.wait(period_s)

    def request(
        self, kind: RequestKind, *, epoch: int = 0, x25519: str | None = None
    ) -> tuple[AckClaims, int]:
        """Ask the vehicle under the intruder's own signature, again until it answers.

        Returns:
            The answer, and when the request that it answers was published.

        Raises:
            TimeoutError: no answer.
        """
        for _ in range(TRIES):
            told = self.heard.authority
            claims = RequestClaims(
                iss=self.operator,
                aud=self.topics.vehicle,
                id=secrets.token_hex(16),
                kind=kind,
                nonce=told["nonce"],
                boot=told["boot"],
                epoch=epoch,
                x25519=x25519,
            )
            topic = self.topics.req(self.operator)
            at_ns = self.publish(topic, sign_claims(claims, self._key), qos=1)
            answer = self._awaited(claims.id)
            if answer is not None:
                return answer, at_ns
        raise TimeoutError(f"no answer to {kind}")

    def stop(self) -> int:
        """Send a signed stop; return when."""
        claims = StopClaims(
            iss=self.operator,
            aud=self.topics.vehicle,
            id=secrets.token_hex(16),
            boot=self.heard.authority["boot"],
            stamp_us=self.heard.states[-1].stamp_us,
            reason="rehearsed",
        )
        return self.publish(self.topics.stop(self.operator), sign_claims(claims, self._key))

    def take_lease(self) -> Lease:
        """Ask for the lease until it is granted: the machine must stand, and know that it does.

        Raises:
            TimeoutError: no answer, or it was not granted.
        """
        for _ in range(TRIES):
            own = X25519PrivateKey.generate()
            public = own.public_key().public_bytes_raw().hex()
            answer, _ = self.request(RequestKind.LEASE, x25519=public)
            if answer.outcome is Outcome.GRANTED:
                break
            self._running.wait(ASK_AGAIN_S)
        if answer.outcome is not Outcome.GRANTED or answer.x25519 is None:
            raise TimeoutError(f"lease not granted: {answer.outcome} {answer.reason}")
        peer = bytes.fromhex(answer.x25519)
        keys = session_keys(own, peer, answer.boot, answer.epoch)
        return Lease(answer.epoch, answer.key_id, answer.boot, keys)

    def command(
        self, lease: Lease, kind: CommandKind = CommandKind.PARKED, **wish: int | bool
    ) -> bytes:
        """Return a command of this moment under ``lease``, whether that still stands or not.

        Its echo is the newest state seen, its sequence ahead of every one before, its tag good.
        """
        self._sequence += 1
        newest = self.heard.states[-1]
        now_ns = clock.monotonic_ns()
        rest: dict[str, Any] = {"neutral": kind is CommandKind.PARKED, "display_ok": True}
        return CommandFrame(
            kind=kind,
            vehicle_id=vehicle_id(self.topics.vehicle),
            key_id=lease.key_id,
            ttl_ms=TTL_MS,
            epoch=lease.epoch,
            sequence=self._sequence,
            boot_tag=lease.boot_tag,
            echo_hold_us=(now_ns - newest.at_ns) // 1000,
            source_stamp_us=now_ns // 1000,
            echo_stamp_us=newest.stamp_us,
            view_stamp_us=newest.stamp_us,
            **(rest | wish),
        ).encode(lease.keys.command)

    def overtake(self, operator: str) -> None:
        """Number the commands from now on far ahead of what ``operator`` has sent and will send."""
        newest = self.caught_from(operator)[-1]
        self._sequence = newest.sequence + AHEAD

    def send_fresh(self, make: Callable[[], bytes], times: int, period_s: float) -> None:
        """Publish ``times`` commands under the intruder's name, each made when it leaves."""
        for _ in range(times):
            self.publish(self.topics.cmd(self.operator), make())
            self._running.wait(period_s)

    def _awaited(self, request_id: str) -> AckClaims | None:
        with contextlib.suppress(TimeoutError):
            self._until(lambda: self._answer_to(request_id) is not None, "an answer")
        return self._answer_to(request_id)

    def _answer_to(self, request_id: str) -> AckClaims | None:
        return next((each for each in self.heard.answers if each.id == request_id), None)

    def _until(self, done: Callable[[], bool], what: str) -> None:
        self._running.until(done, ANSWER_WITHIN_S, what)
