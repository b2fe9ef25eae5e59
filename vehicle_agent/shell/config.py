"""The agent's settings file: TOML in, frozen models out, errors that name file, key and reason."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from protocol.broker_settings import BrokerSettings
from protocol.profiles import first_problem
from protocol.topics import checked_id

_STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, frozen=True)
_Path = Annotated[Path, Field(strict=False)]


class VehicleSettings(BaseModel):
    """Which machine this computer is on.

    Attributes:
        site, name: topic ids.
        machine: machine file, see protocol/profiles.py.
        simulated: the machine is a simulated one; a page's keyboard may drive it.
        timing: tightened rows of the timing table, by name.
        approved_sha256: digest of limits, times and trusted keys that an engineer approved, as
            the factsheet gives it; any other one refuses motion. None approves whatever is here.
    """

    model_config = _STRICT
    site: str
    name: str
    machine: _Path
    simulated: bool = False
    timing: dict[str, int] = Field(default_factory=dict)
    approved_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None


class RuntimeSettings(BaseModel):
    """Where this program keeps what it makes.

    Attributes:
        dir: sockets of this run; keep the path short.
        record: the guardian's durable record (epoch, latched stop). It must outlive a power
            cycle: never on a RAM disk.
    """

    model_config = _STRICT
    dir: _Path
    record: _Path


class KeySettings(BaseModel):
    """Own private key (JWK file) and the identities trusted (JSON file)."""

    model_config = _STRICT
    device: _Path
    trust: _Path


class CanSettings(BaseModel):
    """The by-wire bus: any python-can interface.

    Attributes:
        interface: python-can's name, e.g. socketcan, slcan, headframe_local.
        channel: as the interface names it.
        bitrate_bps: None where the interface has none.
        options: further python-can options, passed on as they are.
    """

    model_config = _STRICT
    interface: str
    channel: str
    bitrate_bps: Annotated[int, Field(gt=0)] | None = None
    options: dict[str, Any] = Field(default_factory=dict)


class RelaySettings(BaseModel):
    """The watchdog relay, where one is fitted.

    Attributes:
        port: serial device; a path by id stays the same when it is plugged in again.
    """

    model_config = _STRICT
    port: _Path


class CameraSettings(BaseModel):
    """One camera.

    Attributes:
        id: travels in commands and frame messages. The lowest id is the main view forwards.
        source: ``sim:DIR``, ``file:PATH``, ``rtsp://…`` or ``/dev/videoN``.
        width, height: pixels sent. fps: pictures a second. bit_rate_bps: of the stream.
    """

    model_config = _STRICT
    id: Annotated[int, Field(ge=0, le=255)]
    name: str
    source: str
    width: Annotated[int, Field(ge=320, le=3840, multiple_of=2)] = 1280
    height: Annotated[int, Field(ge=180, le=2160, multiple_of=2)] = 720
    fps: Annotated[int, Field(ge=1, le=60)] = 30
    bit_rate_bps: Annotated[int, Field(ge=50_000, le=20_000_000)] = 3_000_000


class MediaSettings(BaseModel):
    """WebRTC of the media process.

    Attributes:
        ice_addresses: own addresses offered; empty takes every address of the machine.
    """

    model_config = _STRICT
    ice_addresses: list[str] = Field(default_factory=list)


class AgentSettings(BaseModel):
    """The whole file.

    Attributes:
        mqtt: the control broker.
        telemetry: the broker for presence, factsheet and slow values, where the control broker
            keeps nothing; None where one broker does all.
    """

    model_config = _STRICT
    vehicle: VehicleSettings
    runtime: RuntimeSettings
    keys: KeySettings
    mqtt: BrokerSettings
    telemetry: BrokerSettings | None = None
    can: CanSettings
    relay: RelaySettings | None = None
    cameras: list[CameraSettings] = Field(default_factory=list)
    media: MediaSettings = Field(default_factory=MediaSettings)


def load_agent_config(path: Path) -> AgentSettings:
    """Return the settings in ``path``; relative paths inside count from the file's folder.

    Raises:
        ValueError: naming the file, the key and the reason.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: cannot be read: {error}") from error
    try:
        settings = AgentSettings.model_validate(tomllib.loads(text))
        checked_id(settings.vehicle.site, "vehicle.site")
        checked_id(settings.vehicle.name, "vehicle.name")
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path}: not TOML: {error}") from error
    except ValidationError as error:
        raise ValueError(f"{path}: {first_problem(error)}") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    ids = [camera.id for camera in settings.cameras]
    if len(set(ids)) != len(ids):
        raise ValueError(f"{path}: cameras: an id stands twice")
    return _absolute(settings, path.resolve().parent)


def _absolute(settings: AgentSettings, base: Path) -> AgentSettings:
    return settings.model_copy(
        update={
            "vehicle": settings.vehicle.model_copy(
                update={"machine": base / settings.vehicle.machine}
            ),
            "runtime": settings.runtime.model_copy(
                update={
                    "dir": base / settings.runtime.dir,
                    "record": base / settings.runtime.record,
                }
            ),
            "keys": settings.keys.model_copy(
                update={
                    "device": base / settings.keys.device,
                    "trust": base / settings.keys.trust,
                }
            ),
            "mqtt": settings.mqtt.absolute(base),
            "telemetry": settings.telemetry and settings.telemetry.absolute(base),
            "relay": None
            if settings.relay is None
            else RelaySettings(port=base / settings.relay.port),
        }
    )
