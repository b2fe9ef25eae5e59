"""The agent's settings: what a camera may be, and where relative paths count from."""

from __future__ import annotations

from pathlib import Path

import pytest

from vehicle_agent.core.viewing import Faces
from vehicle_agent.shell.config import SourceKind, load_agent_config

SHIPPED = Path(__file__).parents[2] / "configs" / "agents"

TEXT = """
[vehicle]
site = "mine"
name = "truck-1"
machine = "machine.toml"
simulated = {simulated}
[runtime]
dir = "run"
record = "record"
[keys]
device = "device.jwk"
trust = "trust.json"
[mqtt]
host = "127.0.0.1"
port = 1883
[can]
interface = "{interface}"
channel = "{channel}"
[[cameras]]
id = 3
name = "front"
source = "{source}"
"""


def test_second_path_without_a_first_one__is_refused(tmp_path: Path) -> None:
    path = write(tmp_path)
    path.write_text(path.read_text() + '[media]\nstandby_addresses = ["10.0.0.2"]\n')

    with pytest.raises(ValueError, match="standby_addresses need ice_addresses"):
        load_agent_config(path)


def test_two_paths_with_an_address_in_common__are_refused(tmp_path: Path) -> None:
    path = write(tmp_path)
    media = '[media]\nice_addresses = ["10.0.0.1"]\nstandby_addresses = ["10.0.0.1"]\n'
    path.write_text(path.read_text() + media)

    with pytest.raises(ValueError, match="have one in common"):
        load_agent_config(path)


def write(
    folder: Path,
    *,
    source: str = "/dev/video0",
    simulated: str = "true",
    interface: str = "socketcan",
    channel: str = "can0",
) -> Path:
    path = folder / "agent.toml"
    path.write_text(
        TEXT.format(source=source, simulated=simulated, interface=interface, channel=channel)
    )
    return path


@pytest.mark.parametrize(
    "source", ["", "sim:", "file:", "http://x", "/etc/passwd", "video0", "v4l:0", "rtsp:x"]
)
def test_source_of_no_known_kind__is_refused_by_file_key_and_reason(
    tmp_path: Path, source: str
) -> None:
    with pytest.raises(ValueError, match=r"agent\.toml: cameras\.0\.source: .* is none of sim:DIR"):
        load_agent_config(write(tmp_path, source=source))


@pytest.mark.parametrize(
    ("source", "kind", "frozen"),
    [
        ("sim:/a", SourceKind.SIMULATOR, False),
        ("file:/a.avi", SourceKind.FILE, False),
        ("rtsp://camera/1", SourceKind.STREAM, True),
        ("rtsps://camera/1", SourceKind.STREAM, True),
        ("/dev/video2", SourceKind.DEVICE, True),
    ],
)
def test_source__has_its_kind_and_what_identical_pictures_mean(
    tmp_path: Path, source: str, kind: SourceKind, frozen: bool
) -> None:
    camera = load_agent_config(write(tmp_path, source=source)).cameras[0]
    assert (camera.source, camera.kind, camera.tells_frozen) == (source, kind, frozen)


@pytest.mark.parametrize("kind", ["sim", "file"])
def test_relative_source__counts_from_the_files_folder(tmp_path: Path, kind: str) -> None:
    camera = load_agent_config(write(tmp_path, source=f"{kind}:clips/a")).cameras[0]
    assert camera.source == f"{kind}:{tmp_path / 'clips/a'}"
    assert camera.path == str(tmp_path / "clips/a")


def test_recording_on_a_real_machine__is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, source="file:a.avi", simulated="false")
    with pytest.raises(
        ValueError, match=r"agent\.toml: cameras\.0\.source: a recording is no view"
    ):
        load_agent_config(path)


@pytest.mark.parametrize(
    ("interface", "channel", "relative"),
    [
        ("socketcan", "can0", False),
        ("slcan", "socket://192.0.2.1:5000", False),
        ("slcan", "/dev/ttyACM0", False),
        ("slcan", "dev/tty7", True),
        ("headframe_local", "can", True),
    ],
)
def test_channel__counts_from_the_files_folder_where_it_is_a_relative_path(
    tmp_path: Path, interface: str, channel: str, relative: bool
) -> None:
    can = load_agent_config(write(tmp_path, interface=interface, channel=channel)).can
    assert can.channel == {False: channel, True: str(tmp_path / channel)}[relative]


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.toml")), ids=lambda path: path.stem)
def test_shipped_agent_file__loads_and_its_machine_is_there(path: Path) -> None:
    settings = load_agent_config(path)
    assert settings.vehicle.machine.is_file()


def test_shipped_agent_with_four_cameras__each_looks_where_its_name_says() -> None:
    cameras = load_agent_config(SHIPPED / "four_cameras.toml").cameras
    assert [(camera.name, camera.faces, camera.height, camera.fps) for camera in cameras] == [
        ("front", Faces.FRONT, 720, 30),
        ("rear", Faces.REAR, 360, 15),
        ("left", Faces.SIDE, 360, 15),
        ("right", Faces.SIDE, 360, 15),
    ]
