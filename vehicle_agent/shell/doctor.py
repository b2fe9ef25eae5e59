"""``headframe doctor``: looks at this computer and says what is missing and what to do.

It is made of the standard library alone, so that it can say which package is missing; what a
settings file names is checked with the packages that read it.
Each check is a function that returns one finding. FAIL means that something will not work,
WARN that it works worse than it could, or only partly.
"""

from __future__ import annotations

import ctypes
import importlib.metadata
import json
import os
import re
import resource
import shutil
import socket
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from vehicle_agent.shell.clock import monotonic_ns, wall_label

if TYPE_CHECKING:
    from vehicle_agent.shell.config import AgentSettings, CameraSettings

ROOT = Path(__file__).resolve().parents[2]
PYTHON_MIN = (3, 11)
RTO_MIN_WANTED_US = 20_000
"""Retransmission floor on every host that sends control over TCP: a lost segment then costs
some 20 ms instead of 200 ms."""
CLOCK_STEP_MAX_NS = 1_000_000
MEMLOCK_WANTED_BYTES = 64 * 1024 * 1024
CONNECT_TIMEOUT_S = 2.0
RTSP_PORT = 554
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_LIBRARIES = {"libGL.so.1": "libgl1", "libgthread-2.0.so.0": "libglib2.0-0"}
_PIN = re.compile(r"([A-Za-z0-9_.-]+)==([^\s;]+)")


class Verdict(StrEnum):
    """How bad it is."""

    OK = "OK"
    WARN = "WARN"
    FAIL = "FAIL"


@dataclass(frozen=True, slots=True)
class Finding:
    """One checked thing.

    Attributes:
        check: short name. verdict: how bad it is. text: what was found.
        remedy: what to do; empty when there is nothing to do.
    """

    check: str
    verdict: Verdict
    text: str
    remedy: str = ""

    def line(self) -> str:
        """The finding as one line for a person."""
        tail = f" -> {self.remedy}" if self.remedy else ""
        return f"{self.verdict.value:<4}  {self.check:<10}  {self.text}{tail}"


def check_python(version: tuple[int, int] = sys.version_info[:2]) -> Finding:
    """Python is new enough."""
    text = f"Python {version[0]}.{version[1]}"
    if version >= PYTHON_MIN:
        return Finding("python", Verdict.OK, text)
    return Finding("python", Verdict.FAIL, text, "use Python 3.11 or newer: make PYTHON=…")


def _name(package: str) -> str:
    return re.sub(r"[-_.]+", "-", package).lower()


def _required() -> list[str]:
    """What Headframe asks for, as installed; as its folder says where it is not installed."""
    try:
        return importlib.metadata.requires("headframe") or []
    except importlib.metadata.PackageNotFoundError:
        pass
    try:
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return list(project["project"]["dependencies"])


def _needed_packages() -> frozenset[str]:
    """Packages that Headframe itself names outside its extras."""
    required = _required()
    return frozenset(
        _name(match.group())
        for line in required
        if "extra ==" not in line and (match := re.match(r"[A-Za-z0-9_.-]+", line)) is not None
    )


def check_packages(constraints: Path = ROOT / "constraints.txt") -> Finding:
    """Installed packages have the pinned versions."""
    try:
        pins = _PIN.findall(constraints.read_text(encoding="utf-8"))
    except OSError as error:
        return Finding("packages", Verdict.WARN, f"{constraints}: {error.strerror}")
    needed = _needed_packages()
    missing: list[str] = []
    optional: list[str] = []
    other: list[str] = []
    for package, pinned in pins:
        try:
            installed = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            (missing if _name(package) in needed else optional).append(package)
            continue
        if installed != pinned and _name(package) != "setuptools":  # a build tool only
            other.append(f"{package} {installed} (pinned {pinned})")
    if missing:
        return Finding(
            "packages", Verdict.FAIL, f"missing: {', '.join(missing)}", "run: make setup"
        )
    if other:
        return Finding("packages", Verdict.WARN, f"other: {', '.join(other)}", "run: make setup")
    unused = f", {len(optional)} optional ones not installed" if optional else ""
    return Finding("packages", Verdict.OK, f"{len(pins) - len(optional)} as pinned{unused}")


def check_libraries() -> Finding:
    """Shared libraries that OpenCV loads are there."""
    missing = []
    for library, package in _LIBRARIES.items():
        try:
            ctypes.CDLL(library)
        except OSError:
            missing.append((library, package))
    if not missing:
        return Finding("libraries", Verdict.OK, ", ".join(_LIBRARIES))
    names = ", ".join(library for library, _ in missing)
    packages = " ".join(package for _, package in missing)
    return Finding("libraries", Verdict.FAIL, f"missing: {names}", f"apt-get install {packages}")


def _clock_steps(count: int) -> Iterator[int]:
    before_ns = monotonic_ns()
    for _ in range(count):
        now_ns = monotonic_ns()
        yield now_ns - before_ns
        before_ns = now_ns


def check_clock() -> Finding:
    """The monotonic clock is fine and never steps back; the wall clock is believable."""
    steps_ns = list(_clock_steps(20_000))
    if min(steps_ns) < 0:
        return Finding("clock", Verdict.FAIL, "the monotonic clock ran backwards", "other kernel")
    step_ns = min((step for step in steps_ns if step > 0), default=CLOCK_STEP_MAX_NS + 1)
    if step_ns > CLOCK_STEP_MAX_NS:
        return Finding("clock", Verdict.FAIL, "monotonic clock coarser than 1 ms", "other kernel")
    pins = ROOT / "constraints.txt"
    newest = pins.stat().st_mtime if pins.exists() else 0.0
    text = f"monotonic step {step_ns} ns"
    wall = datetime.fromisoformat(wall_label()).timestamp()
    if wall < newest - 86_400:
        return Finding(
            "clock", Verdict.WARN, f"{text}; the date is in the past", "set the date (NTP)"
        )
    return Finding("clock", Verdict.OK, text)


def check_tcp(path: Path = Path("/proc/sys/net/ipv4/tcp_rto_min_us")) -> Finding:
    """TCP repeats a lost segment soon."""
    try:
        floor_us = int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return Finding(
            "tcp",
            Verdict.WARN,
            "this kernel has no tcp_rto_min_us: a lost segment costs 200 ms or more",
            "set rto_min 20ms on the route to the broker (ip-route(8))",
        )
    text = f"tcp_rto_min_us = {floor_us}"
    if floor_us <= RTO_MIN_WANTED_US:
        return Finding("tcp", Verdict.OK, text)
    return Finding(
        "tcp",
        Verdict.WARN,
        f"{text}: a lost segment costs {floor_us // 1000} ms",
        f"sysctl -w net.ipv4.tcp_rto_min_us={RTO_MIN_WANTED_US}",
    )


def check_real_time() -> Finding:
    """The guardian may ask for real-time priority and lock its memory."""
    lacking = []
    try:
        policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        os.sched_setscheduler(0, policy, parameters)
    except OSError:
        lacking.append("real-time priority (rtprio)")
    memlock_bytes = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0]
    if memlock_bytes != resource.RLIM_INFINITY and memlock_bytes < MEMLOCK_WANTED_BYTES:
        lacking.append(f"locked memory ({memlock_bytes // 1024} KiB)")
    if not lacking:
        return Finding("real-time", Verdict.OK, "priority and locked memory allowed")
    return Finding(
        "real-time",
        Verdict.WARN,
        f"not allowed: {', '.join(lacking)}",
        "on a machine: rtprio 50 and memlock unlimited in /etc/security/limits.d, or the "
        "unit's LimitRTPRIO, LimitMEMLOCK",
    )


def check_browser() -> Finding:
    """A browser for the page and its tests."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found:
        return Finding("browser", Verdict.OK, found)
    return Finding(
        "browser", Verdict.WARN, "no Chromium: browser tests cannot run", "apt-get install chromium"
    )


def check_port(port: int) -> Finding:
    """The page's port is free."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            return Finding(
                "port", Verdict.WARN, f"{port}: {error.strerror}", "headframe demo --port 0"
            )
    return Finding("port", Verdict.OK, f"{port} is free")


def check_broker(host: str, port: int) -> Finding:
    """The control broker takes connections."""
    try:
        socket.create_connection((host, port), CONNECT_TIMEOUT_S).close()
    except OSError as error:
        reason = error.strerror or str(error)
        return Finding(
            "broker", Verdict.FAIL, f"{host} port {port}: {reason}", "start it, or mend [mqtt]"
        )
    return Finding("broker", Verdict.OK, f"{host} port {port} answers")


def check_can(settings: AgentSettings) -> Finding:
    """The by-wire bus opens."""
    name = f"{settings.can.interface} {settings.can.channel}"
    try:
        import can  # noqa: PLC0415 - only where a file names a bus

        from vehicle_agent.shell.bus import open_bus  # noqa: PLC0415
    except ImportError as error:
        return Finding("can", Verdict.FAIL, f"python-can does not load: {error}", "run: make setup")
    try:
        open_bus(settings.can).shutdown()
    except (can.CanError, OSError, ValueError, ImportError) as error:
        reason = " ".join(str(error).split())
        return Finding("can", Verdict.FAIL, f"{name}: {reason}", "bring it up, or mend [can]")
    return Finding("can", Verdict.OK, f"{name} opens")


def check_camera(camera: CameraSettings) -> Finding:
    """A camera's source opens; pictures are the media process's business."""
    name = f"camera {camera.id}"
    kind, _, rest = camera.source.partition(":")
    remedy = f"mend source of {camera.name}"
    if kind == "sim":
        if Path(rest).is_dir():
            return Finding(name, Verdict.OK, f"{rest} is there")
        return Finding(name, Verdict.FAIL, f"{rest}: no such folder", "start the simulator first")
    try:
        import cv2  # noqa: PLC0415 - slow to load
    except ImportError as error:
        return Finding(name, Verdict.FAIL, f"OpenCV does not load: {error}", "run: make setup")
    capture = cv2.VideoCapture(rest if kind == "file" else camera.source)
    try:
        opened = capture.isOpened()
    finally:
        capture.release()
    if opened:
        return Finding(name, Verdict.OK, f"{camera.source} opens")
    return Finding(name, Verdict.FAIL, f"{camera.source} does not open", remedy)


def _config_checks(config: Path) -> Iterable[Callable[[], Finding]]:
    try:
        from vehicle_agent.shell.config import load_agent_config  # noqa: PLC0415 - needs pydantic
    except ImportError as error:
        absent = Finding("config", Verdict.FAIL, f"cannot be read: {error}", "run: make setup")
        return [lambda: absent]
    try:
        settings = load_agent_config(config)
    except ValueError as error:
        finding = Finding("config", Verdict.FAIL, str(error), "mend the file")
        return [lambda: finding]
    return [
        lambda: Finding("config", Verdict.OK, str(config)),
        lambda: check_broker(settings.mqtt.host, settings.mqtt.port),
        lambda: check_can(settings),
        *((lambda camera=camera: check_camera(camera)) for camera in settings.cameras),
    ]


def examine(config: Path | None, port: int) -> Iterator[Finding]:
    """Yield every finding, one after the other."""
    checks: list[Callable[[], Finding]] = [
        check_python,
        check_packages,
        check_libraries,
        check_clock,
        check_tcp,
        check_real_time,
        check_browser,
        lambda: check_port(port),
    ]
    if config is not None:
        checks += _config_checks(config)
    for check in checks:
        yield check()


def run(config: Path | None, port: int, as_json: bool) -> int:
    """Print the findings; 1 when one of them is a FAIL."""
    findings = []
    for finding in examine(config, port):
        findings.append(finding)
        if not as_json:
            sys.stdout.write(finding.line() + "\n")
            sys.stdout.flush()
    failed = any(finding.verdict is Verdict.FAIL for finding in findings)
    if as_json:
        report = {"ok": not failed, "findings": [asdict(finding) for finding in findings]}
        sys.stdout.write(json.dumps(report) + "\n")
    return 1 if failed else 0
