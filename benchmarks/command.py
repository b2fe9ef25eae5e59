"""The command link over weak networks: age of what is accepted, silence, and what was too old.

50 commands a second from a console beside its broker to a machine behind a modelled link, which
really loses packets of the kernels' TCP (two network namespaces; needs root, /dev/net/tun and
Debian's mosquitto). Ours: the console's and the machine's links, Mosquitto with the shipped files
and TLS, retransmission floor 20 ms: with both command paths, by the data channel alone and by
MQTT alone. Beside them, over links of the same seed in the same minutes: aiomqtt and Mosquitto
with their defaults, 200 ms. The guardian's acceptance judges all.

A table of all rows comes last, each line as soon as it is known on stderr; ``--json`` has the same
under ``rows``. The exit code is 1 when a command acted that may have been older than allowed.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks._command_end import OPERATOR, SITE, VEHICLE
from benchmarks.common import Measurement, Peer, percentiles, run
from protocol.errors import Refusal
from protocol.signals import DEFAULT_TIMING
from sim.network.bridge import SURFACE_ADDRESS, Place
from sim.network.bridged import bridged
from sim.network.files import LINKS
from vehicle_agent.shell import clock, keys
from vehicle_agent.shell.keys import Wanted

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = ROOT / "configs" / "brokers" / "mosquitto"
CONTROL_PORT, TELEMETRY_PORT, STOCK_PORT = 8883, 8884, 1883
FLOOR_US = {"both": 20_000, "channel": 20_000, "mqtt": 20_000, "stock": 200_000}
FULL_S, QUICK_S = 98.0, 12.0
"""90 s of commands, and some 6 s until all connections stand."""
OUTAGE_EVERY_S = 8.0
TEMPLATE = '[link]\nname = "bench"\ntitle = "bench"\n[up]\n{0}\n[down]\n{0}\n'


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of link: round trip, loss each way, and an outage each 8 s; or a shipped one."""

    rtt_ms: int = 0
    loss: float = 0.0
    outage_s: float = 0.0
    shipped: str = ""

    @property
    def name(self) -> str:
        """What a person reads."""
        if self.shipped:
            return self.shipped
        outage = f" outage {self.outage_s:g} s" if self.outage_s else ""
        return f"{self.rtt_ms} ms {100 * self.loss:g} %{outage}"

    def link(self) -> str:
        """Return the link file."""
        if self.shipped:
            return (LINKS / f"{self.shipped}.toml").read_text(encoding="utf-8")
        way = f"delay_ms = {self.rtt_ms / 2}\nloss = {self.loss}\n"
        if self.outage_s:
            length = 1000 * self.outage_s
            way += (
                f"gaps = {{ every_s = {OUTAGE_EVERY_S}, shortest_ms = {length}, "
                f"longest_ms = {length} }}\n"
            )
        return TEMPLATE.format(way)


HEADLINE = Row(40, 0.02)
ROWS = (
    *(Row(rtt, loss) for rtt in (10, 40, 190) for loss in (0.0, 0.02, 0.05)),
    *(Row(40, outage_s=outage) for outage in (0.3, 1.0, 2.0)),
    Row(shipped="wifi-drift"),
)
NAMES = {
    "both": "both paths",
    "channel": "data channel alone",
    "mqtt": "MQTT alone",
    "stock": "aiomqtt + Mosquitto defaults",
}
TOO_OLD = frozenset(
    each.name for each in (Refusal.LOOP_TOO_OLD, Refusal.UPLINK_TOO_OLD, Refusal.HOLD_TOO_LONG)
)
HEAD = (
    f"{'link':<21} {'':<28}  {'age p50/p95/p99/max, ms':>25}  {'silence':>7}"
    f"  {'>100':>4}  {'>250':>4}  {'too old':>7}  {'overtaken':>9}  {'oldest':>6}  first by"
)
LEGEND = (
    "counted from when each path of a row has brought a command; "
    "age: of accepted commands, from the console's clock to the machine's; silence: longest time "
    "without one, ms; >100, >250: silences in which the traction goes, and stops; too old, "
    "overtaken: refused; oldest: bound of the age of any command that acted, ms; first by: "
    "commands that came first by MQTT and by the data channel"
)


def make_site(folder: Path) -> Path:
    """Make keys for the broker's computer, the console and the machine."""
    site, now = folder / "keys", clock.wall_now()
    keys.init(site, SITE, now)
    keys.issue(site, Wanted(VEHICLE, "vehicle"), now)
    keys.issue(site, Wanted(OPERATOR, "driver"), now)
    keys.issue(site, Wanted("broker", "broker", hosts=(SURFACE_ADDRESS,)), now)
    return site


def broker_files(folder: Path, site: Path, transport: str) -> list[Path]:
    """Write the settings of the brokers that one transport needs."""
    home = folder / "broker"
    (home / "telemetry.d").mkdir(parents=True)
    if transport == "stock":
        path = home / "stock.conf"
        path.write_text(f"listener {STOCK_PORT}\nallow_anonymous true\n", encoding="utf-8")
        return [path]
    for name in ("ca.crt", "tls.crt", "tls.key"):
        shutil.copy(site / "broker" / name, home)
    shutil.copy(site / "crl.pem", home)
    for acl in CONFIGS.glob("*.acl"):
        shutil.copy(acl, home)
    paths = []
    for name in ("control.conf", "telemetry.conf"):
        text = (CONFIGS / name).read_text(encoding="utf-8")
        path = home / name
        path.write_text(
            text.replace("/etc/headframe/broker", str(home)) + "\nuser root\n", encoding="utf-8"
        )
        paths.append(path)
    return paths


@contextlib.contextmanager
def background(command: tuple[str, ...]) -> Iterator[subprocess.Popen[str]]:
    """Run a program with a pipe to its input until the block ends."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def set_floor(place: Place, transport: str) -> None:
    """Set the retransmission floor of a namespace."""
    value = FLOOR_US[transport]
    script = f"echo {value} > /proc/sys/net/ipv4/tcp_rto_min_us"
    subprocess.run(place.command("sh", "-c", script), check=True)


def drive(row: Row, transport: str, seconds: float) -> dict[str, Any]:
    """Run one transport over one link; return what the machine judged."""
    mosquitto = shutil.which("mosquitto", path="/usr/sbin:/usr/bin")
    if mosquitto is None:
        raise RuntimeError("needs Debian's mosquitto")
    with tempfile.TemporaryDirectory(prefix="hf-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        site = make_site(folder)
        (folder / "bench.toml").write_text(row.link(), encoding="utf-8")
        machine, surface = stack.enter_context(bridged(str(folder / "bench.toml")))
        for place in (machine, surface):
            set_floor(place, transport)
        for path in broker_files(folder, site, transport):
            stack.enter_context(background(surface.command(mosquitto, "-c", str(path))))
        port = STOCK_PORT if transport == "stock" else CONTROL_PORT
        words = (
            *(transport, "--host", SURFACE_ADDRESS, "--port", f"{port}", "--keys", str(site)),
            *("--telemetry-port", f"{TELEMETRY_PORT}"),
        )
        end = (sys.executable, "-m", "benchmarks._command_end")
        hears = stack.enter_context(background(machine.command(*end, "machine", *words)))
        stack.enter_context(background(surface.command(*end, "console", *words)))
        with contextlib.suppress(subprocess.TimeoutExpired):
            hears.wait(seconds)
        out, _ = hears.communicate("", timeout=20.0)
    result: dict[str, Any] = json.loads(out)
    if not result["ages_ms"]:
        raise RuntimeError(f"{row.name}, {transport}: no command was accepted")
    return result


def side_by_side(row: Row, seconds: float) -> dict[str, dict[str, Any]]:
    """Run all transports over links of their own in the same time."""
    results: dict[str, dict[str, Any]] = {}

    def one(transport: str) -> None:
        results[transport] = drive(row, transport, seconds)

    threads = [threading.Thread(target=one, args=(transport,)) for transport in FLOOR_US]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if len(results) != len(threads):
        raise RuntimeError(f"{row.name}: a transport did not run")
    return results


def figures(row: Row, transport: str, result: dict[str, Any]) -> dict[str, Any]:
    """Return one line of the table."""
    refused: dict[str, int] = result["refused"]
    too_old = sum(number for name, number in refused.items() if name in TOO_OLD)
    return {
        "link": row.name,
        "transport": transport,
        "accepted": len(result["ages_ms"]),
        "age_ms": percentiles(result["ages_ms"]).as_dict(),
        "silence_ms": round(result["silence_ms"]),
        "traction_off": len(result["silences_ms"]),
        "stops": sum(each > DEFAULT_TIMING.command_stop_ms for each in result["silences_ms"]),
        "refused_too_old": too_old,
        "refused_otherwise": sum(refused.values()) - too_old,
        "oldest_bound_ms": round(result["oldest_bound_ms"], 1),
        "first_by": result["first"],
    }


def line(found: dict[str, Any]) -> str:
    """Return a line of the table as text."""
    ages = "/".join(f"{each:.1f}" for each in found["age_ms"].values())
    first = "/".join(f"{each}" for each in found["first_by"])
    return (
        f"{found['link']:<21} {NAMES[found['transport']]:<28}  {ages:>25}"
        f"  {found['silence_ms']:>7}  {found['traction_off']:>4}  {found['stops']:>4}"
        f"  {found['refused_too_old']:>7}  {found['refused_otherwise']:>9}"
        f"  {found['oldest_bound_ms']:>6.1f}  {first}"
    )


def measure(quick: bool) -> Measurement:
    """Age of accepted commands by both paths at 40 ms and 2 % loss; beside it every row."""
    rows: list[dict[str, Any]] = []
    headline: dict[str, dict[str, Any]] = {}
    sys.stderr.write(HEAD + "\n")
    for row in (HEADLINE,) if quick else ROWS:
        results = side_by_side(row, QUICK_S if quick else FULL_S)
        for transport in FLOOR_US:
            rows.append(figures(row, transport, results[transport]))
            sys.stderr.write(line(rows[-1]) + "\n")
        if row == HEADLINE:
            headline = results
    oldest_ms = max(row["oldest_bound_ms"] for row in rows)
    table = "\n".join(["", HEAD, *(line(row) for row in rows)])
    return Measurement(
        name="command",
        unit="ms",
        samples=headline["both"]["ages_ms"],
        peer=Peer("aiomqtt + Mosquitto defaults", percentiles(headline["stock"]["ages_ms"])),
        notes=f"{HEADLINE.name}, by both paths. {LEGEND}. Oldest that acted in any row: "
        f"{oldest_ms} ms by its bound (limit {DEFAULT_TIMING.uplink_max_ms}){table}",
        rows=rows,
        held=oldest_ms <= DEFAULT_TIMING.uplink_max_ms,
    )


if __name__ == "__main__":
    sys.exit(run(measure))
