"""The console's settings file: TOML in, frozen models out, errors that name file, key, reason."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Self

from joserfc.jwk import OKPKey
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from operator_console.shell.clock import wall_now
from protocol.broker_settings import BrokerSettings
from protocol.ice_settings import IceServer
from protocol.messages import Trust, load_private_key, read_trust
from protocol.profiles import first_problem
from protocol.topics import checked_id

_STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, frozen=True)
_Path = Annotated[Path, Field(strict=False)]


class SeatSettings(BaseModel):
    """Who sits here, and which machine is driven.

    Attributes:
        operator: own identity. site, vehicle: topic ids.
        port: of the page on 127.0.0.1; 0 takes any free one.
        token_file: the page's address with its token is written there, for a launcher.
        simulated: the machine is a simulated one; a page's keyboard may drive it.
        cameras: camera ids shown, the main one first.
        rear_camera: of these, the main view in reverse gear; none keeps the first.
        left_camera, right_camera: of these, shown as mirrors beside the main view; none shows none.
        ice_servers: TURN and STUN servers for the page's video; none is used by default.
        sound: the machine has a microphone: the page has a button for it, off at first.
        watched: other machines of the site, for a supervisor's page to look at and to stop.
        screen_delay_ms: the monitor's own, measured on the bench; added to every age shown.
    """

    model_config = _STRICT
    operator: str
    site: str
    vehicle: str
    port: Annotated[int, Field(ge=0, le=65535)] = 8700
    token_file: _Path | None = None
    simulated: bool = False
    cameras: Annotated[
        tuple[Annotated[int, Field(ge=0, le=255)], ...], Field(strict=False, min_length=1)
    ] = (0,)
    rear_camera: Annotated[int, Field(ge=0, le=255)] | None = None
    left_camera: Annotated[int, Field(ge=0, le=255)] | None = None
    right_camera: Annotated[int, Field(ge=0, le=255)] | None = None
    ice_servers: list[IceServer] = Field(default_factory=list)
    sound: bool = False
    watched: Annotated[tuple[str, ...], Field(strict=False, max_length=16)] = ()
    screen_delay_ms: Annotated[int, Field(ge=0, le=500)] = 0

    @model_validator(mode="after")
    def _watched_are_others(self) -> Self:
        if self.vehicle in self.watched or len(set(self.watched)) != len(self.watched):
            raise ValueError("watched must name other machines, and each once")
        return self

    @model_validator(mode="after")
    def _others_are_shown(self) -> Self:
        others = [
            (name, camera)
            for name in ("rear_camera", "left_camera", "right_camera")
            if (camera := getattr(self, name)) is not None
        ]
        for name, camera in others:
            if camera not in self.cameras[1:]:
                raise ValueError(f"{name} must be one of cameras, and not the first")
        if len({camera for _, camera in others}) != len(others):
            raise ValueError("rear_camera, left_camera and right_camera must be different ones")
        return self


class ControlPeerSettings(BaseModel):
    """The second command path: WebRTC data channels beside MQTT.

    Attributes:
        ice_addresses: own addresses offered; empty takes every address of this computer.
    """

    model_config = _STRICT
    ice_addresses: Annotated[tuple[str, ...], Field(strict=False)] = ()


class DeskSettings(BaseModel):
    """The driver's desk: wheel and pedals, sticks, contacts.

    Attributes:
        file: what each axis and contact does, as ``headframe console --calibrate`` wrote it.
    """

    model_config = _STRICT
    file: _Path


class RecorderSettings(BaseModel):
    """The cockpit's flight recorder.

    Attributes:
        dir: its folder. quota_mb: of all sessions; the oldest files go.
        segment_s, segment_mb: the length of one file, whichever comes first.
    """

    model_config = _STRICT
    dir: _Path
    quota_mb: Annotated[int, Field(ge=1, le=10_000_000)] = 2048
    segment_s: Annotated[int, Field(ge=2, le=3600)] = 60
    segment_mb: Annotated[int, Field(ge=1, le=1024)] = 64


class KeySettings(BaseModel):
    """Own private key (JWK file) and the identities trusted (JSON file)."""

    model_config = _STRICT
    device: _Path
    trust: _Path


class ConsoleSettings(BaseModel):
    """One console; without ``control_peer`` its commands go by MQTT alone.

    With a ``desk`` that drives, and no page; without one only simulated machines are driven.
    ``telemetry`` is the broker of slow values for the screen, where a site has one beside the
    control broker; without it they are heard there. With a ``recorder`` the drive is recorded here.
    """

    model_config = _STRICT
    console: SeatSettings
    mqtt: BrokerSettings
    keys: KeySettings
    control_peer: ControlPeerSettings | None = None
    desk: DeskSettings | None = None
    telemetry: BrokerSettings | None = None
    recorder: RecorderSettings | None = None


@dataclass(frozen=True, slots=True)
class Keys:
    """What the key files hold."""

    device: OKPKey
    trust: Trust


def load_settings(path: Path) -> ConsoleSettings:
    """Return the settings in ``path``; paths in it count from its own folder.

    Raises:
        ValueError: one line that names file, key and reason.
    """
    try:
        settings = ConsoleSettings.model_validate(tomllib.loads(_text(path)))
        seat = settings.console
        checked_id(seat.operator, "console.operator")
        checked_id(seat.site, "console.site")
        for vehicle in (seat.vehicle, *seat.watched):
            checked_id(vehicle, "console.vehicle")
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path}: not TOML: {error}") from error
    except ValidationError as error:
        raise ValueError(f"{path}: {first_problem(error)}") from error
    except ValueError as error:
        raise ValueError(_with_file(path, error)) from error
    return _absolute(settings, path.resolve().parent)


def load_keys(settings: ConsoleSettings) -> Keys:
    """Return the keys that the settings name.

    Raises:
        ValueError: one line that names file and reason.
    """
    device, trust = settings.keys.device, settings.keys.trust
    try:
        own = load_private_key(_text(device))
    except ValueError as error:
        raise ValueError(_with_file(device, error)) from error
    try:
        reading = read_trust(_text(trust), wall_now())
    except ValueError as error:
        raise ValueError(_with_file(trust, error)) from error
    trusted, operator = reading.trust, settings.console.operator
    vehicles = (settings.console.vehicle, *settings.console.watched)
    for what, name in (*(("vehicle", each) for each in vehicles), ("operator", operator)):
        if name not in trusted:
            why = reading.refused.get(name, "not there")
            raise ValueError(f"{trust}: {what} {name} is not trusted: {why}")
    if own.as_dict(private=False)["x"] != trusted[operator].key.as_dict(private=False)["x"]:
        raise ValueError(f"{device}: not the key that {trust.name} has for operator {operator}")
    return Keys(own, trusted)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise ValueError(f"{path}: {reason}") from error


def _with_file(path: Path, error: ValueError) -> str:
    first = str(error).splitlines()[0]
    return first if first.startswith(str(path)) else f"{path}: {first}"


def _absolute(settings: ConsoleSettings, base: Path) -> ConsoleSettings:
    seat, keys, desk = settings.console, settings.keys, settings.desk
    recorder = settings.recorder
    token_file = None if seat.token_file is None else base / seat.token_file
    return settings.model_copy(
        update={
            "console": seat.model_copy(update={"token_file": token_file}),
            "mqtt": settings.mqtt.absolute(base),
            "telemetry": settings.telemetry and settings.telemetry.absolute(base),
            "desk": None if desk is None else desk.model_copy(update={"file": base / desk.file}),
            "recorder": None
            if recorder is None
            else recorder.model_copy(update={"dir": base / recorder.dir}),
            "keys": keys.model_copy(
                update={"device": base / keys.device, "trust": base / keys.trust}
            ),
        }
    )
