"""Radio by place: what is heard where, who serves, and what becomes of the link."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from sim.network.__main__ import main
from sim.network.air import Air
from sim.network.model import LinkModel, Verdict
from sim.network.parameters import DirectionParameters, LinkParameters
from sim.network.stream_model import StreamModel
from sim.radio.coverage import Antenna, Coverage, Technology
from sim.radio.files import RADIO, find_coverage, load_coverage
from sim.radio.follower import Followed
from sim.radio.roaming import Roaming
from sim.runner.agenda import Agenda
from sim.runner.link import Link
from sim.world.files import WorldFileError
from sim.world.site import load_site
from tests.sim.worlds import DRIFT_FILE

MS = 1_000_000
SITE = load_site(DRIFT_FILE)
KIND = Technology(
    name="wifi",
    margin_db=30.0,
    way_db_per_m=0.1,
    bend_db_per_deg=0.2,
    full_db=20.0,
    edge_loss=0.4,
    edge_delay_s=0.03,
    full_bps=8e6,
    edge_bps=1e6,
    stronger_db=5.0,
    shortest_s=0.5,
    longest_s=1.5,
)
AT_62 = Antenna("at 62", 62.0, 62.0)
FEEDER = Antenna("feeder", 100.0, 200.0, cable_db_per_m=0.05)


def margin_db(antenna: Antenna, station_m: float) -> float:
    (margin,) = Coverage(SITE, KIND, [antenna]).margins_db(station_m)
    return margin


def pair() -> tuple[Roaming, Air]:
    """Two antennas 100 m apart on a straight; both are alike at 370 m."""
    air = Air()
    antennas = [Antenna("west", 134.0, 134.0), Antenna("east", 234.0, 234.0)]
    return Roaming(Coverage(SITE, KIND, antennas), 1, air), air


# -- what is heard where


def test_antenna_on_a_straight__margin_falls_with_the_way() -> None:
    assert margin_db(AT_62, 62.0) == pytest.approx(30.0, abs=0.1)
    assert margin_db(AT_62, 12.0) == pytest.approx(25.0, abs=0.1)


def test_antenna_round_a_bend__margin_is_that_of_way_and_turn() -> None:
    turned_deg = abs(math.degrees(SITE.pose_at(140.0).heading_rad - SITE.pose_at(62.0).heading_rad))
    assert turned_deg > 39.0
    assert margin_db(AT_62, 140.0) == pytest.approx(30.0 - 7.8 - 0.2 * turned_deg, abs=0.3)


def test_antenna_near_the_seam_of_a_loop__is_heard_across_it() -> None:
    antenna = Antenna("x", 5.0, 5.0)
    assert margin_db(antenna, SITE.length_m - 5.0) == pytest.approx(29.0, abs=0.5)


@pytest.mark.parametrize("station_m", [250.0, 640.0, 1100.0])
def test_margin_anywhere__is_that_of_adding_up_every_half_metre_both_ways(
    station_m: float,
) -> None:
    def lost_db(from_m: float, to_m: float) -> float:
        steps = round((to_m - from_m) / 0.5)
        bent_rad = sum(
            abs(SITE.pose_at(from_m + (n + 0.5) * 0.5).curvature_per_m) * 0.5 for n in range(steps)
        )
        return 0.1 * (to_m - from_m) + 0.2 * math.degrees(bent_rad)

    least_db = min(lost_db(62.0, station_m), lost_db(station_m, SITE.length_m + 62.0))
    assert margin_db(AT_62, station_m) == pytest.approx(30.0 - least_db, abs=0.5)


def test_leaky_feeder__along_the_cable_only_the_cable_loses() -> None:
    assert margin_db(FEEDER, 100.0) == pytest.approx(30.0, abs=0.1)
    assert margin_db(FEEDER, 200.0) == pytest.approx(25.0, abs=0.1)


def test_leaky_feeder_beyond_its_end__is_heard_as_an_antenna_there() -> None:
    assert margin_db(FEEDER, 230.0) == pytest.approx(22.0, abs=0.1)


# -- who serves


def test_first_antenna__costs_no_gap() -> None:
    roaming, air = pair()
    assert roaming.step(0, 140.0).antenna == "west"
    assert (air.gap_until_ns, roaming.changes) == (0, 0)


def test_stronger_antenna__takes_over_after_the_margin_and_with_a_gap() -> None:
    roaming, air = pair()
    served = [roaming.step(n * 100 * MS, 134.0 + n).antenna for n in range(101)]
    change = served.index("east")
    assert served == ["west"] * change + ["east"] * (101 - change)
    assert change == pytest.approx(75, abs=1)
    assert 500 * MS <= air.gap_until_ns - change * 100 * MS <= 1500 * MS


def test_machine_between_two_antennas__does_not_go_to_and_fro() -> None:
    roaming, _ = pair()
    for number in range(200):
        roaming.step(number * 100 * MS, 184.0 + 15.0 * (-1) ** number)
    assert roaming.changes == 0


def test_nothing_in_reach__all_is_lost_and_coming_back_takes_a_gap() -> None:
    roaming, air = pair()
    roaming.step(0, 140.0)
    assert roaming.step(10 * MS, 650.0).antenna is None
    assert air.loss == 1.0
    assert roaming.step(20 * MS, 140.0).antenna == "west"
    assert air.gap_until_ns >= 520 * MS


def test_same_seed__gaps_of_the_same_length() -> None:
    ends = []
    for _ in range(2):
        roaming, air = pair()
        for number, station_m in enumerate((140.0, 230.0, 140.0)):
            roaming.step(number * 10_000 * MS, station_m)
        ends.append(air.gap_until_ns)
    assert ends[0] == ends[1] > 20_000 * MS


@pytest.mark.parametrize(
    ("station_m", "loss", "delay_ms", "rate_bps"),
    [(134.0, 0.0, 0.0, 8e6), (14.5, 0.4, 30.0, 1e6)],
)
def test_fading__goes_from_the_best_to_the_edge(
    station_m: float, loss: float, delay_ms: float, rate_bps: float
) -> None:
    air = Air()
    kind = Technology(
        name="x",
        margin_db=30.0,
        way_db_per_m=0.25,
        bend_db_per_deg=0.0,
        full_db=20.0,
        edge_loss=0.4,
        edge_delay_s=0.03,
        full_bps=8e6,
        edge_bps=1e6,
        stronger_db=5.0,
        shortest_s=0.5,
        longest_s=1.5,
    )
    Roaming(Coverage(SITE, kind, [Antenna("x", 134.0, 134.0)]), 1, air).step(0, station_m)
    assert air.loss == pytest.approx(loss, abs=0.01)
    assert air.delay_ns / MS == pytest.approx(delay_ms, abs=0.5)
    assert air.jitter_ns == air.delay_ns // 2
    assert air.rate_bps == pytest.approx(rate_bps, rel=0.05)


# -- what becomes of the link


def test_link_in_bad_air__loses_and_is_late_and_slow() -> None:
    air = Air(loss=0.3, delay_ns=15 * MS, rate_bps=1e6)
    model = LinkModel(DirectionParameters(delay_ns=10 * MS, rate_bps=8e6), 1, air=air)
    decisions = [model.decide(n * 20 * MS, 125) for n in range(2000)]
    assert model.counts[Verdict.LOST] == pytest.approx(600, abs=80)
    first = next(n for n, decision in enumerate(decisions) if decision.deliveries)
    assert decisions[first].deliveries[0] - first * 20 * MS == 26 * MS


def test_link_without_a_rate__has_that_of_the_air() -> None:
    model = LinkModel(DirectionParameters(), 1, air=Air(rate_bps=1e6))
    assert model.decide(0, 125).deliveries == (1 * MS,)


def test_change_of_cell__loses_datagrams_and_holds_up_streams() -> None:
    air = Air(gap_until_ns=700 * MS)
    given = DirectionParameters(delay_ns=10 * MS)
    model = LinkModel(given, 1, air=air)
    stream = StreamModel(model, given, 20 * MS, 1, "", 0, air)
    assert model.decide(100 * MS, 100).verdict is Verdict.IN_GAP
    assert model.decide(700 * MS, 100).verdict is Verdict.CARRIED
    assert stream.decide(700 * MS, 100).deliveries == (710 * MS,)


def test_stream_in_a_change_of_cell__comes_after_it() -> None:
    air = Air(gap_until_ns=700 * MS)
    given = DirectionParameters(delay_ns=10 * MS)
    stream = StreamModel(LinkModel(given, 1, air=air), given, 20 * MS, 1, "", 0, air)
    decision = stream.decide(100 * MS, 100)
    assert decision.verdict is Verdict.REPEATED
    assert decision.deliveries[0] >= 710 * MS


def test_run_over_a_link_with_a_map__link_follows_the_machine() -> None:
    clear = DirectionParameters(delay_ns=10 * MS)
    link = Link(Agenda(0), LinkParameters("x", "x", clear, clear, "mine_drift_5g"), 1, SITE)
    came: list[int] = []
    link.move(0, 330.0)
    assert link.up.send(0, 100, came.append)
    link.move(0, 497.0)
    assert not link.up.send(0, 100, came.append)
    link.change(LinkParameters("y", "y", clear, clear), 0)
    link.move(0, 497.0)
    assert link.down.send(0, 100, came.append)


# -- files


@pytest.mark.parametrize("path", sorted(RADIO.glob("*.toml")), ids=lambda path: path.stem)
def test_shipped_map__loads_and_hears_something_almost_everywhere(path: Path) -> None:
    coverage = find_coverage(path.stem, SITE)
    stations = range(round(SITE.length_m))
    deaf = sum(max(coverage.margins_db(station_m)) < 0.0 for station_m in stations)
    assert deaf <= 12


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('site = "mine_drift"', 'site = "farm"', "is a map of farm, not of mine_drift"),
        ("at_m = 20.0", "at_m = 2000.0", "antennas.0: lies past the site's end"),
        ("at_m = 20.0", "here_m = 20.0", "antennas.0.here_m"),
        ("at_m = 20.0", "from_m = 20.0", "needs at_m, or from_m and to_m"),
        ("at_m = 20.0", "from_m = 20.0\nto_m = 10.0", "to_m is not past from_m"),
        ("longest_ms = 1500.0", "longest_ms = 15.0", "longest_ms is below shortest_ms"),
        ("full_kbps = 10000.0", "full_kbps = 1.0", "full_kbps is below edge_kbps"),
        ('kind = "wifi"', 'kind = "string"', "technology.kind"),
    ],
)
def test_map_with_a_mistake__is_refused_with_its_name(
    tmp_path: Path, old: str, new: str, problem: str
) -> None:
    text = (RADIO / "mine_drift_wifi.toml").read_text(encoding="utf-8")
    path = tmp_path / "map.toml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(WorldFileError, match=problem):
        load_coverage(path, SITE)


def test_unknown_map__known_ones_are_named() -> None:
    with pytest.raises(WorldFileError, match="no radio map 'x'; there are: mine_drift_5g"):
        find_coverage("x", SITE)


# -- in real time


class Silent:
    """A station without traffic."""

    def __init__(self) -> None:
        self.given: list[int] = []

    def readers(self) -> list[int]:
        return [7]

    def writers(self) -> list[int]:
        return [8]

    def read(self, _now_ns: int, descriptor: int) -> None:
        self.given.append(descriptor)

    def release(self, now_ns: int) -> None:
        self.given.append(now_ns)

    def next_ns(self) -> int | None:
        return 5


class Told:
    """Truth datagrams that wait."""

    def __init__(self, *datagrams: bytes) -> None:
        self.waiting = list(datagrams)

    def fileno(self) -> int:
        return 9

    def recv(self) -> bytes | None:
        return self.waiting.pop(0) if self.waiting else None


def test_relay_that_follows__goes_by_the_newest_place_and_takes_no_other_datagram() -> None:
    roaming, air = pair()
    truth = Told(b'{"t_us":5,"station_m":140.0,"x_m":1.0}', b'{"t_us":4,"station_m":650.0}', b"?")
    station = Silent()
    followed = Followed(station, truth, roaming)
    for descriptor in followed.readers():
        followed.read(0, descriptor)
    followed.release(3)
    assert (air.loss, station.given) == (0.0, [7, 3])
    assert (list(followed.writers()), followed.next_ns()) == ([8], 5)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["udp", "--to", "9"], "only crossing knows it"),
        (["crossing", "--to", "9", "--keys", "{keys}"], "needs --site and --truth"),
    ],
)
def test_link_with_a_map_in_a_relay_that_knows_no_place__is_refused(
    arguments: list[str], problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [argument.format(keys=tmp_path) for argument in arguments]
    assert main([given[0], "--link", "drift-5g", *given[1:]]) == 1
    assert problem in capsys.readouterr().err
