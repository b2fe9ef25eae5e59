"""The agent's settings file: TOML in, frozen models out, errors that name file, key and reason."""

from __future__ import annotations

import tomllib
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from protocol.broker_settings import BrokerSettings
from protocol.control_peer import CommandPath
from protocol.ice_settings import IceServer
from protocol.profiles import first_problem
from protocol.topics import checked_id
from vehicle_agent.core.viewing import Faces

LOCAL_INTERFACE = "headframe_local"
"""The bus of one computer: its channel is a folder."""

_STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, frozen=True)
_Path = Annotated[Path, Field(strict=False)]


class VehicleSettings(BaseModel):
    """Which machine this computer is on.

    Attributes:
        site, name: topic ids.
        machine: machine file, see protocol/profiles.py.
        simulated: the machine is a simulated one; a page's keyboard may drive it.
        timing: tightened rows of the timing table, by name.
        approved_sha256: digest of limits, times, trusted keys, command paths, range finder, locator
            that an engineer approved, as the factsheet gives it; any other one refuses motion. None
            approves whatever is here.
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
        channel: as the interface names it; a path where it has a slash, or on headframe_local.
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


class RangeFinderSettings(BaseModel):
    """A planar scanner at the middle of the front bumper, where one is fitted.

    Its program sends every scan to the guardian's socket (vehicle_agent/core/clearance.py); without
    scans the machine creeps.

    Attributes:
        range_m: farthest that it measures on what it must see.
    """

    model_config = _STRICT
    range_m: Annotated[float, Field(ge=5.0, le=200.0)]


class LocatorSettings(BaseModel):
    """A program that tells place and rules, where one is fitted (vehicle_agent/core/place.py).

    Without its messages the machine goes at walking pace.

    Attributes:
        fitted: true; without a locator there is no such table.
    """

    model_config = _STRICT
    fitted: Literal[True]


class SourceKind(StrEnum):
    """Where a camera's pictures come from."""

    SIMULATOR = "sim"
    FILE = "file"
    STREAM = "rtsp"
    DEVICE = "device"


def source_kind(source: str) -> SourceKind:
    """Return the kind of a camera's source.

    Raises:
        ValueError: it is of none.
    """
    for kind in (SourceKind.SIMULATOR, SourceKind.FILE):
        if source.startswith(f"{kind}:") and source != f"{kind}:":
            return kind
    if source.startswith(("rtsp://", "rtsps://")):
        return SourceKind.STREAM
    if source.startswith("/dev/video"):
        return SourceKind.DEVICE
    raise ValueError(f"{source!r} is none of sim:DIR, file:PATH, rtsp://…, rtsps://…, /dev/videoN")


class CameraSettings(BaseModel):
    """One camera.

    Attributes:
        id: travels in commands and frame messages. The lowest id is the main view forwards.
        source: ``sim:DIR``, ``file:PATH``, ``rtsp://…`` or ``/dev/videoN``.
        width, height: pixels sent. fps: pictures a second. bit_rate_bps: of the stream.
        faces: where it looks; None: the lowest id to the front, the others to a side.
        weight: share of a link that is too narrow for all; None: 4 to the front, 1 elsewhere. In
            reverse gear front and rear change theirs.
        identical_means_frozen: pictures without the least difference are those of a stuck camera.
            None: yes for devices and streams, whose sensors are never without noise; no for
            recordings and for the simulator, which draws a standing world alike.
        frozen_after_ms: how long pictures may be identical. A network camera that codes a still
            scene may repeat pictures up to its next key frame.
        own_delay_ms: from the light to the moment that the driver stamps, measured on the bench;
            the capture stamp is set back by it, so that every age has it inside.
        blank_contrast: levels of 256 by which parts of a picture must differ to show anything; a
            covered lens, a dead sensor and a place without any light do not. 0: never told.
        blank_after_ms: how long pictures must show nothing before that is told.
    """

    model_config = _STRICT
    id: Annotated[int, Field(ge=0, le=255)]
    name: str
    source: str
    width: Annotated[int, Field(ge=320, le=3840, multiple_of=2)] = 1280
    height: Annotated[int, Field(ge=180, le=2160, multiple_of=2)] = 720
    fps: Annotated[int, Field(ge=1, le=60)] = 30
    bit_rate_bps: Annotated[int, Field(ge=50_000, le=20_000_000)] = 3_000_000
    faces: Annotated[Faces | None, Field(strict=False)] = None
    weight: Annotated[int, Field(ge=1, le=100)] | None = None
    identical_means_frozen: bool | None = None
    frozen_after_ms: Annotated[int, Field(ge=100, le=10_000)] = 1000
    own_delay_ms: Annotated[int, Field(ge=0, le=500)] = 0
    blank_contrast: Annotated[int, Field(ge=0, le=64)] = 4
    blank_after_ms: Annotated[int, Field(ge=200, le=60_000)] = 2000

    @field_validator("source")
    @classmethod
    def _known(cls, source: str) -> str:
        source_kind(source)
        return source

    @property
    def kind(self) -> SourceKind:
        """Where the pictures come from."""
        return source_kind(self.source)

    @property
    def path(self) -> str:
        """The source without its kind: a folder, a file, a device or an address."""
        return self.source.removeprefix("sim:").removeprefix("file:")

    @property
    def tells_frozen(self) -> bool:
        """Whether identical pictures are held for frozen ones."""
        if self.identical_means_frozen is not None:
            return self.identical_means_frozen
        return self.kind in (SourceKind.DEVICE, SourceKind.STREAM)


class SoundKind(StrEnum):
    """Where the machine's sound comes from."""

    SIMULATOR = "sim"
    FILE = "file"
    DEVICE = "alsa"


class SoundSettings(BaseModel):
    """The machine's microphone, where one is fitted.

    Attributes:
        source: ``alsa:DEVICE`` as ``arecord -L`` names it, ``file:PATH``, ``sim:tone`` or
            ``sim:engine``.
    """

    model_config = _STRICT
    source: Annotated[str, Field(pattern=r"^(alsa:.+|file:.+|sim:(tone|engine))$")]

    @property
    def kind(self) -> SoundKind:
        """Where the sound comes from."""
        return SoundKind(self.source.partition(":")[0])

    @property
    def path(self) -> str:
        """The source without its kind."""
        return self.source.partition(":")[2]


class MediaSettings(BaseModel):
    """WebRTC of the media process.

    Attributes:
        ice_addresses: own addresses offered; empty takes every address of the machine.
        standby_addresses: those of another network path, for the second peer connection that a
            viewer keeps in reserve; empty: it goes by the same addresses as the first. Needs
            `ice_addresses`.
        ice_servers: TURN and STUN servers; aiortc uses one of each. None is used by default.
        encoder: ``libx264``, the name of an encoder in hardware, or ``auto`` for the first of those
            that passes its test; x264 where none does.
        rest_at_standstill: half the pictures while the machine stands and cannot be driven off.
    """

    model_config = _STRICT
    ice_addresses: list[str] = Field(default_factory=list)
    standby_addresses: list[str] = Field(default_factory=list)
    ice_servers: list[IceServer] = Field(default_factory=list)
    encoder: Literal["libx264", "auto", "h264_nvenc", "h264_qsv", "h264_v4l2m2m", "h264_vaapi"] = (
        "libx264"
    )
    rest_at_standstill: bool = True

    @model_validator(mode="after")
    def _paths_apart(self) -> Self:
        if self.standby_addresses and not self.ice_addresses:
            raise ValueError("standby_addresses need ice_addresses, those of the first path")
        if set(self.standby_addresses) & set(self.ice_addresses):
            raise ValueError("standby_addresses and ice_addresses have one in common")
        return self


class RecorderSettings(BaseModel):
    """The flight recorder.

    Attributes:
        dir: its folder. It must outlive a power cycle to be of use after one.
        quota_mb: of all sessions; the oldest segments go. kept_mb: of what is kept round stops.
        segment_s, segment_mb: the length of one file, whichever comes first.
        video: record what the cameras send.
        foxglove_port: show live what is recorded, on this port of this computer; none: not at all.
    """

    model_config = _STRICT
    dir: _Path
    quota_mb: Annotated[int, Field(ge=1, le=10_000_000)] = 8192
    kept_mb: Annotated[int, Field(ge=1, le=10_000_000)] = 2048
    segment_s: Annotated[int, Field(ge=2, le=3600)] = 60
    segment_mb: Annotated[int, Field(ge=1, le=1024)] = 64
    video: bool = True
    foxglove_port: Annotated[int, Field(ge=0, le=65535)] | None = None


class ControlPeerSettings(BaseModel):
    """The second command path: WebRTC data channels beside MQTT.

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
        sound: None: the machine has no microphone.
        control_peer: with it commands come by both paths, and one of them silent lowers the
            speed cap; None: by MQTT alone.
        recorder: None records nothing.
    """

    model_config = _STRICT
    vehicle: VehicleSettings
    runtime: RuntimeSettings
    keys: KeySettings
    mqtt: BrokerSettings
    telemetry: BrokerSettings | None = None
    can: CanSettings
    relay: RelaySettings | None = None
    range_finder: RangeFinderSettings | None = None
    locator: LocatorSettings | None = None
    cameras: list[CameraSettings] = Field(default_factory=list)
    media: MediaSettings = Field(default_factory=MediaSettings)
    sound: SoundSettings | None = None
    control_peer: ControlPeerSettings | None = None
    recorder: RecorderSettings | None = None

    @property
    def command_paths(self) -> frozenset[int]:
        """The paths by which commands may come."""
        both = self.control_peer is not None
        return frozenset(CommandPath) if both else frozenset({CommandPath.MQTT})

    @property
    def range_finder_m(self) -> float | None:
        """How far the range finder measures; None where none is fitted."""
        return None if self.range_finder is None else self.range_finder.range_m


def load_agent_config(path: Path) -> AgentSettings:
    """Return the settings in ``path``; relative paths inside count from the file's folder.

    Raises:
        ValueError: naming the file, the key and the reason.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise ValueError(f"{path}: cannot be read: {reason}") from error
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
    _check_sources(settings, path)
    return _absolute(settings, path.resolve().parent)


def _check_sources(settings: AgentSettings, path: Path) -> None:
    ids = [camera.id for camera in settings.cameras]
    if len(set(ids)) != len(ids):
        raise ValueError(f"{path}: cameras: an id stands twice")
    for number, camera in enumerate(settings.cameras):
        if camera.kind is SourceKind.FILE and not settings.vehicle.simulated:
            raise ValueError(
                f"{path}: cameras.{number}.source: a recording is no view of a real machine;"
                " only with vehicle.simulated = true"
            )
    sound = settings.sound
    if sound is not None and sound.kind is not SoundKind.DEVICE and not settings.vehicle.simulated:
        raise ValueError(
            f"{path}: sound.source: {sound.source!r} is no sound of a real machine;"
            " only with vehicle.simulated = true"
        )


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
            "can": settings.can.model_copy(
                update={"channel": _absolute_channel(settings.can, base)}
            ),
            "cameras": [_absolute_source(camera, base) for camera in settings.cameras],
            "sound": _absolute_sound(settings.sound, base),
            "recorder": settings.recorder
            and settings.recorder.model_copy(update={"dir": base / settings.recorder.dir}),
            "relay": None
            if settings.relay is None
            else RelaySettings(port=base / settings.relay.port),
        }
    )


def _absolute_channel(can: CanSettings, base: Path) -> str:
    """Return a channel that is a path as an absolute one; ``can0`` and ``socket://…`` are none."""
    names_path = "/" in can.channel and "://" not in can.channel
    is_path = names_path or can.interface == LOCAL_INTERFACE
    return str(base / can.channel) if is_path else can.channel


def _absolute_source(camera: CameraSettings, base: Path) -> CameraSettings:
    if camera.kind not in (SourceKind.SIMULATOR, SourceKind.FILE):
        return camera
    return camera.model_copy(update={"source": f"{camera.kind}:{base / camera.path}"})


def _absolute_sound(sound: SoundSettings | None, base: Path) -> SoundSettings | None:
    if sound is None or sound.kind is not SoundKind.FILE:
        return sound
    return SoundSettings(source=f"{sound.kind}:{base / sound.path}")
