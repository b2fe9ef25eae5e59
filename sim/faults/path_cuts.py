"""Each of the two command paths killed in turn while the truck is driven, and given back.

    python -m sim.faults.path_cuts [--times N] [--json]

The demo's real processes, with a good link between cockpit and machine on which MQTT or the data
channel alone can be cut. What the driver is shown is heard where his page hears it, at the console:
nothing may stop, the speed cap and its reason must be shown, and both must be gone again once the
path is back.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import socket
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from protocol.control_peer import CommandPath
from protocol.state import CapReason, VehicleMode
from sim import demo
from sim.children import ChildError, ChildSpec
from sim.faults.rehearsal import Rehearsal, rehearsal
from vehicle_agent.shell import clock

LINK = "fibre-5g"
ORDERS = "orders"
NAMES = {CommandPath.MQTT: "mqtt", CommandPath.DATA_CHANNEL: "control"}
TIMES = 3
SHOWN_WITHIN_S = 6.0
BACK_WITHIN_S = 30.0
UNDER_WAY_WITHIN_S = 60.0
ALONE_S = 3.0
"""How long the other path drives alone before the cut one is given back."""
APART_S = 3.0
_MS = 1_000_000
_MOVING = (VehicleMode.ACTIVE, VehicleMode.DEGRADED)


@dataclass(frozen=True, slots=True)
class Shown:
    """What the console tells a page, and when it was heard, monotonic ns."""

    at_ns: int
    mode: str | None
    cap_mps: float | None
    reason: str | None
    silent: tuple[int, ...]
    out: tuple[bool, ...]


class Screen:
    """Listens at the console as one more page that only looks."""

    def __init__(self, url: str) -> None:
        self.shown: list[Shown] = []
        self._url = url
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._listen, name="screen", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End listening."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _listen(self) -> None:
        task = self._loop.create_task(self._read())
        self._loop.run_forever()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            self._loop.run_until_complete(task)
        self._loop.close()

    async def _read(self) -> None:
        parts = urlsplit(self._url)
        address = f"ws://{parts.netloc}/ws?{parts.query}"
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(
                address, origin=f"http://{parts.netloc}", max_msg_size=0
            ) as connection,
        ):
            async for message in connection:
                if message.type is aiohttp.WSMsgType.TEXT:
                    content = json.loads(message.data)
                    self._take(content)
                    if content["t"] == "state":
                        await connection.send_json({"t": "seen", "n": content["n"]})

    def _take(self, message: dict[str, Any]) -> None:
        if message.get("t") != "state" or message["vehicle"] is None:
            return
        vehicle = message["vehicle"]
        self.shown.append(
            Shown(
                clock.monotonic_ns(),
                vehicle["mode"],
                vehicle["cap_mps"],
                vehicle["cap_reason"],
                tuple(vehicle["silent_paths"]),
                tuple(path["out"] for path in message["console"]["paths"]),
            )
        )

    @property
    def last(self) -> Shown | None:
        """The newest."""
        return self.shown[-1] if self.shown else None


@dataclass(slots=True)
class Cut:
    """One path, cut and given back.

    Attributes:
        cap_shown_ms: from the cut to the cap and its reason on the screen. cap_mps: the cap.
        back_ms: from the mending to a screen without it. modes: every state in between.
        travelled_m: true distance driven meanwhile.
    """

    path: str
    cap_shown_ms: float
    cap_mps: float | None
    back_ms: float
    modes: tuple[str, ...]
    travelled_m: float


@dataclass(slots=True)
class Result:
    """All cuts, and what went otherwise than it must."""

    cuts: list[Cut] = field(default_factory=list)
    shortfalls: list[str] = field(default_factory=list)

    @property
    def met(self) -> bool:
        """Nothing went otherwise."""
        return not self.shortfalls


class Orders:
    """Tells the link which path to cut."""

    def __init__(self, place: Path) -> None:
        self._place = str(place)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def give(self, what: str, path: CommandPath) -> int:
        """Cut or mend a path; return when, monotonic ns."""
        self._socket.sendto(f"{what} {NAMES[path]}".encode("ascii"), self._place)
        return clock.monotonic_ns()


def _heard(plan: demo.Plan, spec: ChildSpec) -> ChildSpec:
    """Let the link hear orders."""
    if spec.name != demo.LINK_CHILD:
        return spec
    command = (*spec.command, "--orders", str(plan.run / ORDERS))
    return ChildSpec(spec.name, command, spec.ready_within_s)


@contextlib.contextmanager
def driven() -> Iterator[tuple[Rehearsal, Screen, Orders]]:
    """The demo, driven over both paths for the time of the block."""
    with contextlib.ExitStack() as stack:
        running = stack.enter_context(rehearsal(amend=_heard, both_paths=True, link=LINK))
        running.start_driver("--starts-once")  # the first page is the one that drives
        screen = stack.enter_context(contextlib.closing(Screen(demo.page_url(running.plan))))
        orders = stack.enter_context(contextlib.closing(Orders(running.plan.run / ORDERS)))
        running.until(
            lambda: _whole(screen.last) and running.speed_mps > 1.0,
            UNDER_WAY_WITHIN_S,
            "under way on both paths",
        )
        yield running, screen, orders


def _whole(shown: Shown | None) -> bool:
    return (
        shown is not None
        and shown.mode in _MOVING
        and not shown.silent
        and not any(shown.out)
        and shown.reason != CapReason.ONE_PATH
    )


def _capped(shown: Shown | None, path: CommandPath) -> bool:
    return shown is not None and shown.silent == (path,) and shown.reason == CapReason.ONE_PATH


def cut_once(running: Rehearsal, screen: Screen, orders: Orders, path: CommandPath) -> Cut:
    """Cut one path, let the other drive alone, and mend it.

    Raises:
        TimeoutError: the cap was not shown, or did not go again.
    """
    first, begun_m = len(screen.shown), float(running.seen.truth["distance_m"])
    cut_ns = orders.give("cut", path)
    running.until(
        lambda: _capped(screen.last, path), SHOWN_WITHIN_S, f"cap for want of {path.name} shown"
    )
    capped = next(each for each in screen.shown[first:] if _capped(each, path))
    running.wait(ALONE_S)
    mended_ns = orders.give("mend", path)
    running.until(lambda: _whole(screen.last), BACK_WITHIN_S, f"{path.name} back, cap gone")
    seen = screen.shown[first:]
    back = next(each for each in seen if each.at_ns > mended_ns and _whole(each))
    return Cut(
        path.name,
        round((capped.at_ns - cut_ns) / _MS, 1),
        capped.cap_mps,
        round((back.at_ns - mended_ns) / _MS, 1),
        tuple(sorted({str(each.mode) for each in seen})),
        round(float(running.seen.truth["distance_m"]) - begun_m, 1),
    )


def run(times: int) -> Result:
    """Cut each path ``times`` times in turn; what keeps it from that is a shortfall like any."""
    result = Result()
    try:
        with driven() as (running, screen, orders):
            for path in tuple(CommandPath) * times:
                cut = cut_once(running, screen, orders, path)
                result.cuts.append(cut)
                if set(cut.modes) - set(_MOVING):
                    result.shortfalls.append(f"{path.name}: was {', '.join(cut.modes)}")
                running.wait(APART_S)
    except (TimeoutError, ChildError) as error:
        result.shortfalls += [str(error), *getattr(error, "__notes__", ())]
    return result


def as_text(result: Result) -> str:
    """Return the result for a person."""
    lines = [
        f"{cut.path}: cut, the cap of {cut.cap_mps:.2f} m/s shown after {cut.cap_shown_ms:.0f} ms; "
        f"mended, gone after {cut.back_ms:.0f} ms; {', '.join(cut.modes)}; "
        f"{cut.travelled_m:.0f} m driven meanwhile"
        for cut in result.cuts
    ]
    return "\n".join([*lines, *(f"short: {each}" for each in result.shortfalls)])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; exit code 1 when something went otherwise than it must."""
    parser = argparse.ArgumentParser(prog="sim.faults.path_cuts", description=__doc__)
    parser.add_argument("--times", type=int, default=TIMES)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args(arguments)
    result = run(chosen.times)
    told = json.dumps(asdict(result) | {"met": result.met}) if chosen.json else as_text(result)
    sys.stdout.write(told + "\n")
    return 0 if result.met else 1


if __name__ == "__main__":
    sys.exit(main())
