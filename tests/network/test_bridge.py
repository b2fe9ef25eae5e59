"""The bridge with real kernels on both sides; as root only."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sim.network import bridge
from sim.network.__main__ import main
from sim.network.bridge import Bridge, Place
from sim.network.bridged import bridged
from sim.network.files import LINKS, find_link
from sim.network.wires import make_wires

pytestmark = pytest.mark.system
needs_root = pytest.mark.skipif(not bridge.usable(), reason="needs root and /dev/net/tun")

ECHO = """
import socket, sys
sock = socket.create_server((sys.argv[1], 7000))
print("ready", flush=True)
end, _ = sock.accept()
while data := end.recv(65536):
    end.sendall(data)
"""
ASK = """
import socket, sys
with socket.create_connection((sys.argv[1], 7000)) as sock:
    sock.sendall(b"x" * 20000)
    sock.shutdown(socket.SHUT_WR)
    got = 0
    while data := sock.recv(65536):
        got += len(data)
print(got)
"""


@pytest.fixture
def pipes() -> Iterator[tuple[int, int, int, int]]:
    machine, machine_far = os.pipe2(os.O_NONBLOCK)
    surface_far, surface = os.pipe2(os.O_NONBLOCK)
    yield machine, machine_far, surface_far, surface
    for descriptor in (machine, machine_far, surface_far, surface):
        os.close(descriptor)


def test_packet__is_carried_to_the_other_side_when_due(pipes: tuple[int, int, int, int]) -> None:
    machine, machine_far, surface_far, surface = pipes
    station = Bridge(machine, surface, *make_wires(find_link("transpacific"), 1, 0))
    os.write(machine_far, b"packet")
    station.read(0, machine)
    due_ns = station.next_ns()
    assert due_ns is not None
    station.release(due_ns)
    assert os.read(surface_far, 100) == b"packet"


def test_packet_on_a_dead_link__is_lost(pipes: tuple[int, int, int, int]) -> None:
    machine, machine_far, _, surface = pipes
    station = Bridge(machine, surface, *make_wires(find_link("dead"), 1, 0))
    os.write(machine_far, b"packet")
    station.read(0, machine)
    assert station.next_ns() is None


def test_command__runs_inside_the_namespace() -> None:
    assert Place("n", "10.0.0.1").command("ls") == ("ip", "netns", "exec", "n", "ls")


@needs_root
def test_kernel_tcp_over_a_lossy_link__carries_all_and_every_decision_is_logged(
    tmp_path: Path,
) -> None:
    link, log = tmp_path / "lossy.toml", tmp_path / "log.jsonl"
    way = "delay_ms = 2.0\nloss = 0.1\n"
    link.write_text(f'[link]\nname = "x"\ntitle = "x"\n[up]\n{way}[down]\n{way}', encoding="utf-8")
    with bridged(str(link), log=log) as (machine, surface):
        echo = subprocess.Popen(
            surface.command(sys.executable, "-c", ECHO, surface.address), stdout=subprocess.PIPE
        )
        assert echo.stdout is not None
        with echo.stdout:
            echo.stdout.readline()
            asked = subprocess.run(
                machine.command(sys.executable, "-c", ASK, surface.address),
                stdout=subprocess.PIPE,
                check=True,
            )
            echo.wait()
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    assert int(asked.stdout) == 20000
    assert [line["n"] for line in lines] == list(range(len(lines)))
    assert {(line["direction"], line["verdict"]) for line in lines} == {
        (direction, verdict) for direction in ("up", "down") for verdict in ("carried", "lost")
    }


@needs_root
def test_namespaces__are_gone_afterwards() -> None:
    with bridged("fibre-5g") as (machine, _):
        assert machine.namespace in bridge._ip("netns", "list")
    assert machine.namespace not in bridge._ip("netns", "list")


@needs_root
def test_namespace_of_a_dead_maker__is_removed() -> None:
    name = "headframe-999999999-machine"
    bridge._ip("netns", "add", name)
    assert bridge.remove_orphans() == 1
    assert name not in bridge._ip("netns", "list")


def test_without_root__one_line_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bridge, "usable", lambda: False)
    assert main(["bridge", "--link", str(LINKS / "dead.toml")]) == 1
    assert capsys.readouterr().err == "sim.network: the bridge needs root and /dev/net/tun\n"


def test_unknown_link__one_line_names_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["udp", "--link", "string", "--to", "9"]) == 1
    assert "lte-loaded" in capsys.readouterr().err
