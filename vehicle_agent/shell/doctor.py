"""``headframe doctor``: looks at this computer and says what is missing and what to do.

It is made of the standard library alone, so that it can say which package is missing; what a
settings file names is checked with the packages that read it.
Each check is a function that returns one finding. FAIL means that something will not work,
WARN that it works worse than it could, or only partly.
"""

from __future__ import annotations

import ctypes
import errno
import importlib.metadata
import json
import os
import re
import resource
import shutil
import socket
import ssl
import statistics
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from protocol.signals import DEFAULT_TIMING
from vehicle_agent.shell.clock import monotonic_ns, wall_label
from vehicle_agent.shell.realtime import PRIORITY, ask_priority

if TYPE_CHECKING:
    from protocol.broker_settings import BrokerSettings
    from vehicle_agent.shell.config import AgentSettings, CameraSettings

ROOT = Path(__file__).resolve().parents[2]
PYTHON_MIN = (3, 11)
RTO_MIN_WANTED_US = 20_000
"""Retransmission floor on every host that sends control over TCP: a lost segment then costs
some 20 ms instead of 200 ms."""
RTO_MIN = Path("/proc/sys/net/ipv4/tcp_rto_min_us")
CLOCK_STEP_MAX_NS = 1_000_000
COCKPIT_PRIORITY = 20
"""The desk's; a machine's guardian asks for more."""
MEMLOCK_WANTED_BYTES = 64 * 1024 * 1024
CONNECT_TIMEOUT_S = 2.0
SEND_BUFFER_MAX_BYTES = 32 * 1024
"""Linux doubles the 8 KiB asked for; more than twice that was not heard."""
ROUND_TRIPS = 8
LOOP_WAITS_MS = 40.0
"""A state and a command each wait at most one period of 20 ms for their turn."""
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


def route_to(host: str) -> str:
    """Return the route to a host as ``ip -o route get`` shows it; empty where that says nothing."""
    try:
        address = socket.gethostbyname(host)
        done = subprocess.run(
            ("ip", "-o", "route", "get", address),  # noqa: S607
            capture_output=True,
            text=True,
            check=False,
            timeout=CONNECT_TIMEOUT_S,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""


def _default_route() -> str:
    return ""


def _route_floor_ms(words: list[str]) -> int | None:
    """Return the route's own retransmission floor, shown as ``rto_min [lock] 20ms``."""
    if "rto_min" not in words:
        return None
    rest = [word for word in words[words.index("rto_min") + 1 :] if word != "lock"]
    digits = rest[0].removesuffix("ms") if rest else ""
    return int(digits) if digits.isdigit() else None


def _route_words(words: list[str]) -> str:
    """Return the part of a route that ``ip route replace`` needs again."""
    if not words:
        return "BROKER via GATEWAY dev DEVICE"
    kept = [words[0]]
    for name in ("via", "dev"):
        if name in words:
            kept += [name, words[words.index(name) + 1]]
    return " ".join(kept)


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


def check_tcp(path: Path = RTO_MIN, route: Callable[[], str] = _default_route) -> Finding:
    """TCP repeats a lost segment soon; by the kernel's floor, or the one on the route.

    Args:
        path: of the kernel's floor. route: returns the route to the broker as ip(8) shows it.
    """
    found = _route_floor_ms(words := route().split())
    if found is not None and found * 1000 <= RTO_MIN_WANTED_US:
        return Finding("tcp", Verdict.OK, f"rto_min {found} ms on the route to the broker")
    try:
        floor_us = int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return Finding(
            "tcp",
            Verdict.WARN,
            "this kernel has no tcp_rto_min_us: a lost segment costs 200 ms or more",
            f"ip route replace {_route_words(words)} rto_min {RTO_MIN_WANTED_US // 1000}ms",
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
    """The guardian, and a cockpit's desk, may ask for real-time priority and lock memory."""
    lacking = []
    if not _may_have(PRIORITY):
        lacking.append(
            f"real-time priority above {COCKPIT_PRIORITY}, which is enough for a cockpit"
            if _may_have(COCKPIT_PRIORITY)
            else "real-time priority (rtprio)"
        )
    memlock_bytes = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0]
    if memlock_bytes != resource.RLIM_INFINITY and memlock_bytes < MEMLOCK_WANTED_BYTES:
        lacking.append(f"locked memory ({memlock_bytes // 1024} KiB)")
    if not lacking:
        return Finding("real-time", Verdict.OK, "priority and locked memory allowed")
    return Finding(
        "real-time",
        Verdict.WARN,
        f"not allowed: {', '.join(lacking)}",
        f"on a machine: rtprio {PRIORITY} and memlock unlimited in /etc/security/limits.d, or the "
        f"unit's LimitRTPRIO, LimitMEMLOCK; in a cockpit: rtprio {COCKPIT_PRIORITY}",
    )


def _may_have(priority: int) -> bool:
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    if ask_priority(priority) != "yes":
        return False
    os.sched_setscheduler(0, policy, parameters)
    return True


def check_browser() -> Finding:
    """A browser for the page and its tests."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found:
        return Finding("browser", Verdict.OK, found)
    return Finding(
        "browser", Verdict.WARN, "no Chromium: browser tests cannot run", "apt-get install chromium"
    )


def check_port(port: int) -> Finding:
    """The page's port is free, or a cockpit of Headframe has it."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE and _is_cockpit(port):
                return Finding("port", Verdict.OK, f"{port}: a cockpit of Headframe serves there")
            why = (
                "in use" if error.errno == errno.EADDRINUSE else f"not to be had ({error.strerror})"
            )
            return Finding("port", Verdict.WARN, f"{port} is {why}", "headframe demo --port 0")
    return Finding("port", Verdict.OK, f"{port} is free")


def _is_cockpit(port: int) -> bool:
    """Whether a console answers there; without its token it says only where to look."""
    request = f"GET / HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()
    try:
        with socket.create_connection(("127.0.0.1", port), CONNECT_TIMEOUT_S) as stream:
            stream.settimeout(CONNECT_TIMEOUT_S)
            stream.sendall(request)
            answer = b""
            while piece := stream.recv(4096):
                answer += piece
    except OSError:
        return False
    return b"the address that the console printed" in answer


def check_broker(broker: BrokerSettings) -> Finding:
    """The control broker takes connections, and its certificate and ours fit.

    No MQTT is spoken: a second client under the same certificate would throw the first one out.
    """
    name = f"{broker.host} port {broker.port}"
    try:
        with socket.create_connection((broker.host, broker.port), CONNECT_TIMEOUT_S) as stream:
            if broker.ca is not None:
                _handshake(broker, stream)
    except ssl.SSLError as error:
        reason = getattr(error, "verify_message", "") or error.reason or str(error)
        reason = str(reason).lower().replace("_", " ")
        remedy = "mend ca, cert and key of [mqtt], or set the date"
        return Finding("broker", Verdict.FAIL, f"{name}: TLS: {reason}", remedy)
    except OSError as error:
        reason = error.strerror or str(error)
        where = f"{name}: {error.filename}" if error.filename else name
        return Finding("broker", Verdict.FAIL, f"{where}: {reason}", "start it, or mend [mqtt]")
    how = "without TLS" if broker.ca is None else "with TLS"
    return Finding("broker", Verdict.OK, f"{name} answers {how}")


def _handshake(broker: BrokerSettings, stream: socket.socket) -> None:
    context = ssl.create_default_context(cafile=str(broker.ca))
    if broker.cert is not None and broker.key is not None:
        context.load_cert_chain(str(broker.cert), str(broker.key))
    with context.wrap_socket(stream, server_hostname=broker.host) as wrapped:
        wrapped.settimeout(CONNECT_TIMEOUT_S)


def check_socket(broker: BrokerSettings) -> Finding:
    """What is asked of a control socket is what it has."""
    try:
        from vehicle_agent.shell.mqtt_client import SOCKET_OPTIONS  # noqa: PLC0415 - needs aiomqtt
    except ImportError as error:
        return Finding("socket", Verdict.FAIL, f"aiomqtt does not load: {error}", "run: make setup")
    lacking = []
    try:
        with socket.create_connection((broker.host, broker.port), CONNECT_TIMEOUT_S) as stream:
            for level, option, wanted in SOCKET_OPTIONS:
                stream.setsockopt(level, option, wanted)
            nodelay = stream.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            buffer_bytes = stream.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
            given_up_ms = stream.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
    except OSError as error:
        reason = error.strerror or str(error)
        return Finding("socket", Verdict.WARN, f"not looked at: {reason}", "mend the broker first")
    if not nodelay:
        lacking.append("TCP_NODELAY off: commands wait for acknowledgements")
    if buffer_bytes > SEND_BUFFER_MAX_BYTES:
        lacking.append(f"send buffer {buffer_bytes} bytes: old commands wait in it")
    if lacking:
        return Finding("socket", Verdict.FAIL, "; ".join(lacking), "another kernel, or no proxy")
    text = f"TCP_NODELAY, send buffer {buffer_bytes} bytes, given up after {given_up_ms} ms"
    return Finding("socket", Verdict.OK, text)


def check_round_trip(broker: BrokerSettings, tries: int = ROUND_TRIPS) -> Finding:
    """The way to the broker leaves room for a drive: its share of the loop time.

    A connection is made within one round trip (RFC 9293, 3.5). The loop has the other side's way
    to the broker too, and some 40 ms of waiting for the next state and command.
    """
    times_ms = []
    try:
        for _ in range(tries):
            begin_ns = monotonic_ns()
            socket.create_connection((broker.host, broker.port), CONNECT_TIMEOUT_S).close()
            times_ms.append((monotonic_ns() - begin_ns) / 1e6)
    except OSError as error:
        reason = error.strerror or str(error)
        return Finding("loop", Verdict.WARN, f"not measured: {reason}", "mend the broker first")
    return _judged_round_trip(statistics.median(times_ms), max(times_ms))


def _judged_round_trip(median_ms: float, longest_ms: float) -> Finding:
    text = (
        f"round trip to the broker {median_ms:.1f} ms, longest of {ROUND_TRIPS} {longest_ms:.1f} ms"
    )
    remedy = "headframe link-test says what the whole way allows; a nearer broker, a better link"
    timing = DEFAULT_TIMING
    if median_ms > timing.uplink_max_ms:
        return Finding(
            "loop",
            Verdict.FAIL,
            f"{text}: commands above {timing.uplink_max_ms} ms are refused",
            remedy,
        )
    loop_ms = longest_ms + LOOP_WAITS_MS
    if loop_ms > timing.loop_cap_ms:
        share = 100 * timing.loop_cap_ms / loop_ms
        return Finding("loop", Verdict.WARN, f"{text}: caps speed at {share:.0f} % or less", remedy)
    return Finding("loop", Verdict.OK, text)


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

        cockpit = cockpits_broker(config)
        if cockpit is not None:
            return [
                lambda: Finding("config", Verdict.OK, f"{config}: [mqtt] of a cockpit"),
                *_broker_checks(cockpit),
            ]
        settings = load_agent_config(config)
    except ImportError as error:
        absent = Finding("config", Verdict.FAIL, f"cannot be read: {error}", "run: make setup")
        return [lambda: absent]
    except ValueError as error:
        finding = Finding("config", Verdict.FAIL, str(error), "mend the file")
        return [lambda: finding]
    return [
        lambda: Finding("config", Verdict.OK, str(config)),
        *_broker_checks(settings.mqtt),
        lambda: check_can(settings),
        *((lambda camera=camera: check_camera(camera)) for camera in settings.cameras),
    ]


def cockpits_broker(config: Path) -> BrokerSettings | None:
    """Return how a cockpit's file reaches its broker; None when the file is no cockpit's.

    Raises:
        ValueError: it is a cockpit's, and its [mqtt] is not right; names file, key and reason.
    """
    from pydantic import ValidationError  # noqa: PLC0415 - the doctor speaks without it too

    from protocol.broker_settings import BrokerSettings  # noqa: PLC0415
    from protocol.profiles import first_problem  # noqa: PLC0415

    try:
        content = tomllib.loads(config.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None  # whoever reads a machine's file says what is wrong
    if "console" not in content:
        return None
    try:
        broker = BrokerSettings.model_validate(content.get("mqtt", {}))
    except ValidationError as error:
        raise ValueError(f"{config}: mqtt.{first_problem(error)}") from error
    return broker.absolute(config.resolve().parent)


def _broker_checks(broker: BrokerSettings) -> tuple[Callable[[], Finding], ...]:
    return (
        lambda: check_broker(broker),
        lambda: check_socket(broker),
        lambda: check_round_trip(broker),
        lambda: check_tcp(route=lambda: route_to(broker.host)),
    )


def examine(config: Path | None, port: int) -> Iterator[Finding]:
    """Yield every finding, one after the other."""
    checks: list[Callable[[], Finding]] = [
        check_python,
        check_packages,
        check_libraries,
        check_clock,
        check_real_time,
        check_browser,
        lambda: check_port(port),
    ]
    checks += [check_tcp] if config is None else _config_checks(config)
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
