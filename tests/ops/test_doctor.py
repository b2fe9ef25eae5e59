"""The doctor: each finding says what was found and what to do."""

from __future__ import annotations

import json
import os
import resource
import socket
import threading
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

from protocol.broker_settings import BrokerSettings
from vehicle_agent.shell import clock, doctor, keys
from vehicle_agent.shell.doctor import COCKPIT_PRIORITY, Finding, Verdict
from vehicle_agent.shell.realtime import PRIORITY


def test_this_computer__fails_in_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor.run(None, 8700, as_json=True) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["ok"]
    assert {finding["check"] for finding in report["findings"]} >= {"python", "packages", "clock"}


def test_text__is_one_line_per_finding(capsys: pytest.CaptureFixture[str]) -> None:
    doctor.run(None, 8700, as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 8
    assert all(line.startswith(("OK ", "WARN", "FAIL")) for line in lines)


def test_everything_but_ok__says_what_to_do() -> None:
    findings = list(doctor.examine(None, 8700))
    assert [
        finding for finding in findings if finding.verdict is not Verdict.OK and not finding.remedy
    ] == []


def test_config_missing__fails_and_names_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert doctor.run(tmp_path / "gone.toml", 8700, as_json=False) == 1
    assert "gone.toml" in capsys.readouterr().out


def test_old_python__fails() -> None:
    assert doctor.check_python((3, 10)).verdict is Verdict.FAIL


def test_package_of_another_version__warns_and_names_both(tmp_path: Path) -> None:
    pins = tmp_path / "constraints.txt"
    pins.write_text("pytest==0.1\n", encoding="utf-8")
    finding = doctor.check_packages(pins)
    assert finding.verdict is Verdict.WARN
    assert "pinned 0.1" in finding.text


def test_needed_package_missing__fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_needed_packages", lambda: frozenset({"no-such-package"}))
    pins = tmp_path / "constraints.txt"
    pins.write_text("no_such.package==1.0\n", encoding="utf-8")
    assert doctor.check_packages(pins).verdict is Verdict.FAIL


def test_library_missing__names_debians_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_LIBRARIES", {"libnothere.so.9": "libnothere9"})
    assert doctor.check_libraries().remedy == "apt-get install libnothere9"


@pytest.mark.parametrize(
    ("text", "verdict"), [("20000\n", Verdict.OK), ("200000\n", Verdict.WARN), ("", Verdict.WARN)]
)
def test_tcp_floor__warns_above_20_ms(tmp_path: Path, text: str, verdict: Verdict) -> None:
    path = tmp_path / "tcp_rto_min_us"
    path.write_text(text, encoding="ascii")
    assert doctor.check_tcp(path).verdict is verdict


def test_clock_runs_backwards__fails(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter(range(10**9, 0, -1))
    monkeypatch.setattr(doctor, "monotonic_ns", lambda: next(times))
    assert doctor.check_clock().verdict is Verdict.FAIL


def test_port_taken__warns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "CONNECT_TIMEOUT_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        finding = doctor.check_port(taken.getsockname()[1])
    assert (finding.verdict, finding.remedy) == (Verdict.WARN, "headframe demo --port 0")


def test_port_of_a_cockpit__is_no_trouble() -> None:
    answer = b"HTTP/1.0 403 Forbidden\r\n\r\nOpen the address that the console printed.\n"
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            stream, _ = server.accept()
            with stream:
                stream.recv(4096)
                stream.sendall(answer)

        console = threading.Thread(target=serve)
        console.start()
        finding = doctor.check_port(server.getsockname()[1])
        console.join()
    assert (finding.verdict, "a cockpit of Headframe" in finding.text) == (Verdict.OK, True)


@pytest.mark.parametrize(
    ("most", "verdict", "words"),
    [
        (PRIORITY, Verdict.OK, "allowed"),
        (COCKPIT_PRIORITY, Verdict.WARN, "priority above 20, which is enough for a cockpit"),
        (COCKPIT_PRIORITY - 1, Verdict.WARN, "real-time priority (rtprio)"),
    ],
)
def test_real_time_up_to_a_priority__says_whether_it_is_enough_and_keeps_none(
    most: int, verdict: Verdict, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = held = os.sched_getscheduler(0), os.sched_getparam(0).sched_priority

    def asks(_: int, policy: int, parameters: os.sched_param) -> None:
        nonlocal held
        if parameters.sched_priority > most:
            raise PermissionError
        held = policy, parameters.sched_priority

    monkeypatch.setattr(os, "sched_setscheduler", asks)
    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY,) * 2)
    finding = doctor.check_real_time()

    assert (finding.verdict, words in finding.text) == (verdict, True)
    assert held == before


@pytest.fixture
def broker() -> Iterator[BrokerSettings]:
    """Something that takes connections."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield BrokerSettings(host="127.0.0.1", port=server.getsockname()[1])


@pytest.fixture
def no_broker() -> BrokerSettings:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        return BrokerSettings(host="127.0.0.1", port=gone.getsockname()[1])


def test_broker_that_answers__is_well_in_every_respect(broker: BrokerSettings) -> None:
    findings = [check() for check in doctor._broker_checks(broker)[:3]]
    assert [finding.verdict for finding in findings] == [Verdict.OK] * 3
    assert "without TLS" in findings[0].text
    assert "TCP_NODELAY, send buffer 16384 bytes, given up after 1500 ms" in findings[1].text


def test_no_broker__fails_once_and_the_rest_waits_for_that(no_broker: BrokerSettings) -> None:
    findings = [check() for check in doctor._broker_checks(no_broker)[:3]]
    assert [finding.verdict for finding in findings] == [Verdict.FAIL, Verdict.WARN, Verdict.WARN]
    assert "Connection refused" in findings[0].text
    assert "Errno" not in findings[0].line()


def test_broker_without_tls_where_tls_is_set__says_so(tmp_path: Path) -> None:
    site = tmp_path / "keys"
    keys.init(site, "mine", clock.wall_now())
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            stream, _ = server.accept()
            with stream:
                stream.recv(4096)
                stream.sendall(b"no TLS is spoken here")

        plain = threading.Thread(target=serve)
        plain.start()
        port = server.getsockname()[1]
        finding = doctor.check_broker(
            BrokerSettings(host="127.0.0.1", port=port, ca=site / "authority.crt")
        )
        plain.join()
    assert finding.verdict is Verdict.FAIL
    assert finding.text == f"127.0.0.1 port {port}: TLS: wrong version number"


@pytest.mark.parametrize(
    ("median_ms", "longest_ms", "verdict", "words"),
    [
        (10.0, 150.0, Verdict.OK, "10.0 ms"),
        (10.0, 210.0, Verdict.WARN, "caps speed at 80 %"),
        (251.0, 260.0, Verdict.FAIL, "commands above 250 ms are refused"),
    ],
)
def test_round_trip__refuses_or_caps_as_the_machine_would(
    median_ms: float, longest_ms: float, verdict: Verdict, words: str
) -> None:
    finding = doctor._judged_round_trip(median_ms, longest_ms)
    assert (finding.verdict, words in finding.text) == (verdict, True)


@pytest.mark.parametrize("shown", ["rto_min 20ms", "rto_min lock 20ms"])
def test_floor_on_the_route__counts_where_the_kernels_is_high(tmp_path: Path, shown: str) -> None:
    path = tmp_path / "tcp_rto_min_us"
    path.write_text("200000\n", encoding="ascii")
    finding = doctor.check_tcp(path, lambda: f"10.0.0.7 via 10.0.0.1 dev eth0 {shown} cache")
    assert finding == Finding("tcp", Verdict.OK, "rto_min 20 ms on the route to the broker")


def test_kernel_without_a_floor__remedy_is_the_command_for_the_route(tmp_path: Path) -> None:
    route = "10.0.0.7 via 10.0.0.1 dev eth0 src 10.0.0.2 uid 0"
    finding = doctor.check_tcp(tmp_path / "none", lambda: route)
    assert finding.remedy == "ip route replace 10.0.0.7 via 10.0.0.1 dev eth0 rto_min 20ms"


def test_route_to_loopback__is_found() -> None:
    assert "127.0.0.1" in doctor.route_to("127.0.0.1")


def test_cockpits_file__its_broker_is_checked(tmp_path: Path, broker: BrokerSettings) -> None:
    file = tmp_path / "console.toml"
    file.write_text(
        f'[console]\noperator = "a"\n[mqtt]\nhost = "127.0.0.1"\nport = {broker.port}\n',
        encoding="utf-8",
    )
    findings = [check() for check in doctor._config_checks(file)]
    assert [finding.check for finding in findings] == ["config", "broker", "socket", "loop", "tcp"]
    assert findings[1].verdict is Verdict.OK


def test_cockpits_file_without_a_port__names_file_and_key(tmp_path: Path) -> None:
    file = tmp_path / "console.toml"
    file.write_text('[console]\n[mqtt]\nhost = "x"\n', encoding="utf-8")
    (finding,) = (check() for check in doctor._config_checks(file))
    assert finding.text == f"{file}: mqtt.port: is missing"


def test_finding__one_line_with_its_remedy() -> None:
    finding = Finding("port", Verdict.WARN, "8700: in use", "take another")
    assert finding.line() == "WARN  port        8700: in use -> take another"


def test_headframe_itself_not_installed__its_folder_says_what_is_needed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def gone(_: str) -> list[str]:
        raise metadata.PackageNotFoundError

    monkeypatch.setattr("importlib.metadata.requires", gone)
    assert {"pydantic", "typer"} <= doctor._needed_packages()


def test_without_the_pins__the_clock_is_still_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "ROOT", tmp_path)
    assert doctor.check_clock().verdict is Verdict.OK
