"""Command and state frames: the fixed bytes between a console and a guardian.

Layouts are design sections 4.2 and 4.3, little-endian. A frame is authenticated by a keyed
BLAKE2b-128 tag over everything before the tag (RFC 7693); keys come from X25519 through
HKDF-SHA256 (RFC 7748, RFC 5869).
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from functools import lru_cache
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from protocol.errors import (
    BadTag,
    EnableMismatch,
    FrameLong,
    FrameShort,
    OutOfRange,
    ProtocolError,
    ReservedBits,
    UnknownKey,
    UnknownKind,
    UnknownVersion,
)

VERSION = 1
TAG_BYTES = 16
KEY_BYTES = 32
COMMAND_BYTES = 88
STATE_JSON_MAX_BYTES = 600
FULL_SCALE = 10_000
"""Axes travel in steps of 1e-4."""

_COMMAND = struct.Struct("<BBHIHHIIIIQQQhHHbBHh8s")
_SPARE = bytes(8)
_STATE_HEAD = struct.Struct("<BBHIHHIIIQ")
NO_TAG = bytes(TAG_BYTES)


class CommandKind(IntEnum):
    """What a command frame asks."""

    DRIVE = 1
    STOP = 2
    PARKED = 3


class CommandFlag(IntFlag):
    """Bits of a command frame's flags."""

    ENABLE = 1
    ENABLE_INVERSE = 2
    NEUTRAL = 4
    DISPLAY_OK = 8
    PARK_BRAKE = 16
    HORN = 32
    LIGHTS = 64


_ENABLE, _ENABLE_INVERSE, _NEUTRAL, _DISPLAY_OK, _PARK_BRAKE, _HORN, _LIGHTS = map(int, CommandFlag)
"""The same bits as plain integers, which are quicker to combine."""
_KNOWN_FLAGS = sum(CommandFlag)
_KINDS = {int(kind): kind for kind in CommandKind}


class StateFlag(IntFlag):
    """Bits of a state frame's flags."""

    LEASED = 1


_LEASED = int(StateFlag.LEASED)
STATE_KIND = 16


@lru_cache(maxsize=64)
def vehicle_id(name: str) -> int:
    """Return the u32 that stands for a vehicle name: first 4 bytes of its SHA-256."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "little")


def frame_tag(key: bytes, body: bytes | memoryview) -> bytes:
    """Return the 16-byte keyed BLAKE2b tag of ``body``."""
    return hashlib.blake2b(body, key=key, digest_size=TAG_BYTES).digest()


@dataclass(frozen=True, slots=True)
class SessionKeys:
    """The two keys of one lease: commands up, states down. 32 bytes each."""

    command: bytes
    state: bytes


def session_keys(
    private: X25519PrivateKey, peer_public: bytes, boot_tag: int, epoch: int
) -> SessionKeys:
    """Derive both keys of a lease.

    Args:
        private: own ephemeral key.
        peer_public: the peer's 32 raw public bytes.
        boot_tag: the guardian's, u32.
        epoch: of the lease, u32.

    Raises:
        ValueError: the peer's key is not 32 bytes, or gives an all-zero secret.
    """
    secret = private.exchange(X25519PublicKey.from_public_bytes(peer_public))
    salt = struct.pack("<II", boot_tag, epoch)

    def derive(info: bytes) -> bytes:
        return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=salt, info=info).derive(secret)

    return SessionKeys(derive(b"headframe/v1/command"), derive(b"headframe/v1/state"))


def _within(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise OutOfRange(f"{name} {value} is outside {low}..{high}")


class CommandFrame(NamedTuple):
    """One command of a driver, raw integers as they travel.

    Attributes:
        kind: drive, stop or parked.
        vehicle_id: see :func:`vehicle_id`.
        key_id: from the lease.
        ttl_ms: how long this command may act, at most 250.
        epoch: fencing epoch of the lease.
        sequence: +1 for each command, one counter over both paths.
        boot_tag: the guardian's.
        echo_hold_us: console time since ``echo_stamp_us`` was received.
        source_stamp_us: console monotonic, for logs only.
        echo_stamp_us: newest state stamp received, vehicle monotonic.
        view_stamp_us: capture stamp of the main picture on screen; 0 is none.
        steer: 1e-4 of full lock, + left. throttle, brake: 1e-4.
        gear: −1 reverse, 0 neutral, 1 drive.
        camera: id of the main view.
        view_age_ms: as the console computes it, for logs only.
        implement: 1e-4, hold to run.
        enable: the dead-man is held.
        neutral: all controls at rest.
        display_ok: the driver's screen is alive and fresh.
        park_brake, horn, lights: as asked.
    """

    kind: CommandKind
    vehicle_id: int
    key_id: int
    ttl_ms: int
    epoch: int
    sequence: int
    boot_tag: int
    echo_hold_us: int
    source_stamp_us: int
    echo_stamp_us: int
    view_stamp_us: int
    steer: int = 0
    throttle: int = 0
    brake: int = 0
    gear: int = 0
    camera: int = 0
    view_age_ms: int = 0
    implement: int = 0
    enable: bool = False
    neutral: bool = False
    display_ok: bool = False
    park_brake: bool = False
    horn: bool = False
    lights: bool = False

    def check_values(self) -> None:
        """Raise OutOfRange when a value lies outside its range (acceptance step 9)."""
        _within("ttl_ms", self.ttl_ms, 1, 250)
        _within("steer", self.steer, -FULL_SCALE, FULL_SCALE)
        _within("throttle", self.throttle, 0, FULL_SCALE)
        _within("brake", self.brake, 0, FULL_SCALE)
        _within("gear", self.gear, -1, 1)
        _within("implement", self.implement, -FULL_SCALE, FULL_SCALE)
        if self.kind is CommandKind.PARKED and self.enable:
            raise OutOfRange("a parked command with enable")

    @property
    def flags(self) -> int:
        """The flag bits, the inverse of enable included."""
        return (
            (_ENABLE if self.enable else _ENABLE_INVERSE)
            | (_NEUTRAL if self.neutral else 0)
            | (_DISPLAY_OK if self.display_ok else 0)
            | (_PARK_BRAKE if self.park_brake else 0)
            | (_HORN if self.horn else 0)
            | (_LIGHTS if self.lights else 0)
        )

    def encode(self, key: bytes) -> bytes:
        """Return the 88 bytes, authenticated under ``key``.

        Raises:
            OutOfRange: a value lies outside its range; nothing is clamped.
        """
        self.check_values()
        try:
            body = _COMMAND.pack(
                VERSION,
                self.kind,
                self.flags,
                self.vehicle_id,
                self.key_id,
                self.ttl_ms,
                self.epoch,
                self.sequence,
                self.boot_tag,
                self.echo_hold_us,
                self.source_stamp_us,
                self.echo_stamp_us,
                self.view_stamp_us,
                self.steer,
                self.throttle,
                self.brake,
                self.gear,
                self.camera,
                self.view_age_ms,
                self.implement,
                _SPARE,
            )
        except struct.error as error:
            raise OutOfRange(f"command field does not fit its type: {error}") from error
        return body + frame_tag(key, body)


def decode_command(data: bytes, keys: Mapping[int, bytes]) -> CommandFrame:
    """Return the command in ``data`` after acceptance step 1 (form, key, tag).

    The enable pair is checked after the tag; ranges are left to
    :meth:`CommandFrame.check_values`, which comes later in the order of acceptance.

    Args:
        data: exactly 88 bytes.
        keys: command keys by key id.

    Raises:
        FrameShort, FrameLong, UnknownVersion, UnknownKind, ReservedBits, UnknownKey, BadTag.
    """
    if len(data) < COMMAND_BYTES:
        raise FrameShort(f"command frame has {len(data)} bytes, needs {COMMAND_BYTES}")
    if len(data) > COMMAND_BYTES:
        raise FrameLong(f"command frame has {len(data)} bytes, needs {COMMAND_BYTES}")
    body = data[: COMMAND_BYTES - TAG_BYTES]
    values = _COMMAND.unpack(body)
    version, kind, flags = values[0], values[1], values[2]
    if version != VERSION:
        raise UnknownVersion(f"command frame version {version}, this program speaks {VERSION}")
    known_kind = _KINDS.get(kind)
    if known_kind is None:
        raise UnknownKind(f"command frame kind {kind}")
    if flags & ~_KNOWN_FLAGS or values[20] != _SPARE:
        raise ReservedBits("command frame has reserved bits set")
    key = keys.get(values[4])
    if key is None:
        raise UnknownKey(f"no key under id {values[4]}")
    if not hmac.compare_digest(frame_tag(key, body), data[COMMAND_BYTES - TAG_BYTES :]):
        raise BadTag("command frame's tag does not fit its bytes")
    return CommandFrame(
        kind=known_kind,
        vehicle_id=values[3],
        key_id=values[4],
        ttl_ms=values[5],
        epoch=values[6],
        sequence=values[7],
        boot_tag=values[8],
        echo_hold_us=values[9],
        source_stamp_us=values[10],
        echo_stamp_us=values[11],
        view_stamp_us=values[12],
        steer=values[13],
        throttle=values[14],
        brake=values[15],
        gear=values[16],
        camera=values[17],
        view_age_ms=values[18],
        implement=values[19],
        enable=flags & _ENABLE != 0,
        neutral=flags & _NEUTRAL != 0,
        display_ok=flags & _DISPLAY_OK != 0,
        park_brake=flags & _PARK_BRAKE != 0,
        horn=flags & _HORN != 0,
        lights=flags & _LIGHTS != 0,
    )


def check_enable_pair(data: bytes) -> None:
    """Raise EnableMismatch unless exactly one of enable and its inverse is set (step 8)."""
    pair = data[2] & 0b11
    if pair not in (_ENABLE, _ENABLE_INVERSE):
        raise EnableMismatch(f"enable and its inverse agree: {pair:02b}")


class StateFrame(NamedTuple):
    """One state of a vehicle.

    Attributes:
        leased: a lease stands, and the tag is the holder's.
        vehicle_id, key_id, epoch, boot_tag: as in the command frame.
        sequence: +1 for each state.
        stamp_us: vehicle monotonic, the echo that commands return.
        json: the UTF-8 JSON text, at most 600 bytes.
    """

    leased: bool
    vehicle_id: int
    key_id: int
    epoch: int
    sequence: int
    boot_tag: int
    stamp_us: int
    json: bytes

    def encode(self, key: bytes | None) -> bytes:
        """Return the bytes, tagged under the holder's state key; None gives the zero tag.

        Raises:
            OutOfRange: the JSON is longer than 600 bytes or a field does not fit.
        """
        if len(self.json) > STATE_JSON_MAX_BYTES:
            raise OutOfRange(f"state JSON has {len(self.json)} bytes, limit {STATE_JSON_MAX_BYTES}")
        try:
            head = _STATE_HEAD.pack(
                VERSION,
                STATE_KIND,
                _LEASED if self.leased else 0,
                self.vehicle_id,
                self.key_id,
                len(self.json),
                self.epoch,
                self.sequence,
                self.boot_tag,
                self.stamp_us,
            )
        except struct.error as error:
            raise OutOfRange(f"state field does not fit its type: {error}") from error
        body = head + self.json
        return body + (NO_TAG if key is None else frame_tag(key, body))


class StateEnvelope(NamedTuple):
    """A state frame as received: its content and whether its tag was proven.

    Attributes:
        frame: the content.
        authentic: the tag fits a key that the receiver holds. Without a lease a state is
            never authentic: good for a screen, worth nothing as an echo.
    """

    frame: StateFrame
    authentic: bool


def decode_state(data: bytes, keys: Mapping[int, bytes]) -> StateEnvelope:
    """Return the state in ``data``.

    A leased state whose key id is not held comes back as not authentic (another console
    holds the lease); one whose key is held must have a fitting tag.

    Raises:
        FrameShort, FrameLong, UnknownVersion, UnknownKind, ReservedBits, BadTag.
    """
    if len(data) < _STATE_HEAD.size + TAG_BYTES:
        raise FrameShort(f"state frame has {len(data)} bytes")
    values = _STATE_HEAD.unpack_from(data)
    version, kind, flags, vehicle, key_id, json_length, epoch, sequence, boot, stamp = values
    if version != VERSION:
        raise UnknownVersion(f"state frame version {version}, this program speaks {VERSION}")
    if kind != STATE_KIND:
        raise UnknownKind(f"state frame kind {kind}")
    if flags & ~_LEASED:
        raise ReservedBits("state frame has reserved bits set")
    if json_length > STATE_JSON_MAX_BYTES:
        raise FrameLong(f"state JSON of {json_length} bytes, limit {STATE_JSON_MAX_BYTES}")
    expected = _STATE_HEAD.size + json_length + TAG_BYTES
    if len(data) < expected:
        raise FrameShort(f"state frame has {len(data)} bytes, needs {expected}")
    if len(data) > expected:
        raise FrameLong(f"state frame has {len(data)} bytes, needs {expected}")
    body, tag = data[:-TAG_BYTES], data[-TAG_BYTES:]
    leased = flags == _LEASED
    key = keys.get(key_id) if leased else None
    if key is not None and not hmac.compare_digest(frame_tag(key, body), tag):
        raise BadTag("state frame's tag does not fit its bytes")
    if not leased and not hmac.compare_digest(tag, NO_TAG):
        raise BadTag("state frame without a lease carries a tag")
    frame = StateFrame(
        leased=leased,
        vehicle_id=vehicle,
        key_id=key_id,
        epoch=epoch,
        sequence=sequence,
        boot_tag=boot,
        stamp_us=stamp,
        json=body[_STATE_HEAD.size :],
    )
    return StateEnvelope(frame, authentic=key is not None)


__all__ = [
    "COMMAND_BYTES",
    "FULL_SCALE",
    "STATE_JSON_MAX_BYTES",
    "CommandFrame",
    "CommandKind",
    "ProtocolError",
    "SessionKeys",
    "StateEnvelope",
    "StateFrame",
    "check_enable_pair",
    "decode_command",
    "decode_state",
    "frame_tag",
    "session_keys",
    "vehicle_id",
]
