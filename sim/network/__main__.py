"""``python -m sim.network udp|tcp|crossing|bridge``: traffic over a link of configs/links.

udp and tcp listen on 127.0.0.1 and carry to a port there; crossing does so for a machine's whole
session, MQTT and WebRTC; bridge makes two network namespaces (as root). Each prints one line that
begins with ``ready``, and runs until SIGTERM or Ctrl-C; crossing then prints its figures as JSON.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType

from sim.network import tcp_relay, udp_relay
from sim.network.air import Air
from sim.network.bridge import Bridge, sites
from sim.network.crossing import Crossing
from sim.network.detour import load_detour
from sim.network.files import find_link
from sim.network.journal import Journal
from sim.network.parameters import LinkParameters
from sim.network.station import Station, serve
from sim.network.wire import Wire
from sim.network.wires import make_wires
from sim.radio.files import find_coverage
from sim.radio.follower import Followed
from sim.radio.roaming import Reception, Roaming
from sim.world.site import load_site
from vehicle_agent.shell.clock import monotonic_ns
from vehicle_agent.shell.local_bus import DatagramFanout
from vehicle_agent.shell.realtime import ask_realtime


@contextlib.contextmanager
def open_station(
    chosen: argparse.Namespace, link: LinkParameters, journal: Journal | None
) -> Iterator[tuple[Station, str]]:
    """Open what was asked for, with the words that say where it is."""
    start_ns = monotonic_ns()
    if chosen.kind == "bridge":
        wires: tuple[Wire[bytes], Wire[bytes]] = make_wires(link, chosen.seed, start_ns, journal)
        with sites() as (machine, surface):
            places = (machine.place, surface.place)
            where = " ".join(f"{place.namespace} {place.address}" for place in places)
            yield Bridge(machine.descriptor, surface.descriptor, *wires), where
    elif chosen.kind == "crossing":
        detour = load_detour(chosen.keys)
        air = None if link.radio is None else Air()
        crossing = Crossing(
            *(link, chosen.seed, chosen.to, detour, start_ns, journal, chosen.port, chosen.orders),
            air=air,
        )
        with contextlib.closing(crossing), followed(crossing, chosen, link, air) as station:
            yield station, f"{crossing.port}"
            sys.stdout.write(json.dumps(crossing.figures()) + "\n")
            sys.stdout.flush()
    elif chosen.kind == "udp":
        datagrams: tuple[Wire[udp_relay.Packet], Wire[udp_relay.Packet]] = make_wires(
            link, chosen.seed, start_ns, journal
        )
        with contextlib.closing(udp_relay.UdpRelay(chosen.port, chosen.to, *datagrams)) as udp:
            yield udp, f"{udp.port}"
    else:
        streams: tuple[Wire[tcp_relay.Packet], Wire[tcp_relay.Packet]] = make_wires(
            link, chosen.seed, start_ns, journal, stream=True
        )
        dead = link.up.dead or link.down.dead
        relay = tcp_relay.TcpRelay(chosen.port, chosen.to, *streams, dead=dead)
        with contextlib.closing(relay):
            yield relay, f"{relay.port}"


@contextlib.contextmanager
def followed(
    crossing: Crossing, chosen: argparse.Namespace, link: LinkParameters, air: Air | None
) -> Iterator[Station]:
    """Let a link with a radio map follow the machine, by the truth that the simulator tells.

    Raises:
        ValueError: the map is not of the site.
    """
    if link.radio is None or air is None:
        yield crossing
        return
    coverage = find_coverage(link.radio, load_site(chosen.site))
    truth = DatagramFanout(chosen.truth, "link")
    with contextlib.closing(truth):
        yield Followed(crossing, truth, Roaming(coverage, chosen.seed, air, _tell))


def _check_place(chosen: argparse.Namespace, link: LinkParameters) -> None:
    if link.radio is None:
        return
    if chosen.kind != "crossing":
        raise ValueError(f"link {link.name} goes by the machine's place: only crossing knows it")
    if chosen.site is None or chosen.truth is None:
        raise ValueError(f"link {link.name} goes by the machine's place: needs --site and --truth")


def _tell(_now_ns: int, reception: Reception) -> None:
    where = reception.antenna or "nothing in reach"
    sys.stderr.write(f"radio: {where}, {reception.margin_db:.0f} dB\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sim.network", description=__doc__)
    kinds = parser.add_subparsers(dest="kind", required=True)
    for name in ("udp", "tcp", "crossing", "bridge"):
        kind = kinds.add_parser(name)
        kind.add_argument("--link", required=True, help="name in configs/links, or a file")
        kind.add_argument("--seed", type=int, default=1)
        kind.add_argument("--log", type=Path, help="every decision as a JSON line")
        if name != "bridge":
            kind.add_argument("--port", type=int, default=0, help="to listen on; 0: a free one")
            kind.add_argument("--to", type=int, required=True, help="port to carry to")
        if name == "crossing":
            kind.add_argument("--keys", type=Path, required=True, help="of both ends: NAME.jwk")
            kind.add_argument(
                "--orders", type=Path, help="Unix datagram socket to make: cut|mend mqtt|control"
            )
            kind.add_argument("--site", type=Path, help="file, for a link with a radio map")
            kind.add_argument("--truth", type=Path, help="folder of truth datagrams, for the same")
    return parser


def run(chosen: argparse.Namespace) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        OSError, RuntimeError, ValueError: it cannot start; one line for a person.
    """
    ended = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        ended.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    link = find_link(chosen.link)
    _check_place(chosen, link)
    journal = None if chosen.log is None else Journal(chosen.log)
    with contextlib.ExitStack() as stack:
        if journal is not None:
            stack.callback(journal.close)
        station, where = stack.enter_context(open_station(chosen, link, journal))
        ask_realtime()
        sys.stdout.write(f"ready {where}\n")
        sys.stdout.flush()
        serve(station, monotonic_ns, ended.is_set)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; return its exit code."""
    try:
        run(_parser().parse_args(arguments))
    except (OSError, RuntimeError, ValueError) as error:
        sys.stderr.write(f"sim.network: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
