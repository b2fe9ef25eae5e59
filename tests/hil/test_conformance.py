"""The conformance kit: a right DBC passes, each planted mistake and each defect is named."""

from __future__ import annotations

from pathlib import Path

import can
import pytest

from hil.benchfile import BenchRefused, load_bench
from hil.conform.kit import CHECKS, NOT_ARMED, Kit
from hil.conform.machine import ForeignDefect
from hil.conform.mapping import ForeignCodec, MappingRefused, load_mapping
from hil.conform.suite import ConformanceSuite
from hil.conform.ways import BusWay, LockstepWay
from hil.judge import Verdict
from hil.runner import Options, run

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
FOLDER = CONFIGS / "conformance"
RIGHT, WRONG = FOLDER / "loader.dbc", FOLDER / "loader_with_mistakes.dbc"
MAPPING = load_mapping(FOLDER / "loader.yaml")


def kit(dbc: Path = RIGHT, *defects: ForeignDefect) -> Kit:
    way = LockstepWay(RIGHT, MAPPING, frozenset(defects))
    return Kit(ForeignCodec(dbc, MAPPING), way)


def found(made: Kit) -> dict[str, tuple[str, ...]]:
    findings = {name: made.check(name).wrong for name in CHECKS}
    return {name: wrong for name, wrong in findings.items() if wrong}


def test_right_dbc__passes_every_check() -> None:
    assert found(kit()) == {}


def test_dbc_with_three_mistakes__all_three_are_named_and_nothing_else() -> None:
    assert found(kit(WRONG)) == {
        "scale": ("drive: Speed asks for 10 times what is wanted",),
        "sign": ("steer: Curvature goes the other way",),
        "heartbeat": ("Counter: the machine lets go at 251: its counter wraps before",),
    }


@pytest.mark.parametrize(
    ("defect", "check", "said"),
    [
        (ForeignDefect.NO_TIMEOUT, "silence", "all frames silent for 180 ms: the machine goes on"),
        (ForeignDefect.NO_HEARTBEAT_CHECK, "heartbeat", "a counter that stands is not noticed"),
        (ForeignDefect.IGNORES_DISARM, "disarm", "the machine goes on without enable"),
        (ForeignDefect.NO_LIMIT, "saturation", "Speed beyond the limit is obeyed, 1.25 times it"),
        (ForeignDefect.MOVES_UNARMED, "unarmed", "steer, drive, brake is given without arming"),
        (ForeignDefect.MOVES_UNARMED, "disarm", "is still given without enable"),
        (ForeignDefect.STEERS_THE_OTHER_WAY, "sign", "steer: Curvature goes the other way"),
        (ForeignDefect.HALF_THE_SCALE, "scale", "brake: Deceleration asks for 0.5 times"),
    ],
)
def test_machine_with_a_defect__is_told_by_its_check(
    defect: ForeignDefect, check: str, said: str
) -> None:
    assert said in "; ".join(kit(RIGHT, defect).check(check).wrong)


@pytest.mark.parametrize("check", [name for name in CHECKS if name != "unarmed"])
def test_machine_that_cannot_be_armed__passes_nothing(check: str, tmp_path: Path) -> None:
    deaf = tmp_path / "deaf.dbc"
    deaf.write_text(RIGHT.read_text(encoding="utf-8").replace("BO_ 2566865024", "BO_ 2566865000"))
    way = LockstepWay(RIGHT, MAPPING, frozenset())
    assert Kit(ForeignCodec(deaf, MAPPING), way).check(check).wrong == (NOT_ARMED,)


def test_range_of_the_dbc_below_the_limit__is_told(tmp_path: Path) -> None:
    narrow = tmp_path / "narrow.dbc"
    text = RIGHT.read_text(encoding="utf-8")
    narrow.write_text(text.replace("Speed : 32|16@1- (0.001,0) [-30|30]", NARROW))
    assert kit(narrow).check("saturation").wrong == (
        "drive: the DBC's range of Speed ends below the limit",
    )


NARROW = "Speed : 32|16@1- (0.001,0) [-2|2]"


# DBC and mapping


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("signal: Speed}", "signal: Sped}", "LoaderCommand has no signal Sped"),
        ("frame: LoaderBrake,", "frame: Brake,", "cycles_ms: Brake is sent, and has no period"),
        ("active: 3", "active: 3, passive: 0", "state.passive: there is no such setting"),
        ("limit: 0.2", "limit: 0", "quantities.steer.limit"),
        ("per_unit: -1000.0", "per_unit: 0.0", "0 turns every value into none"),
        ("timeout_ms: 100", "", "timeout_ms: is missing"),
        ("machine: wheel_loader", "machine: [", "not YAML"),
    ],
)
def test_mapping_with_a_mistake__is_refused_in_one_line(
    old: str, new: str, said: str, tmp_path: Path
) -> None:
    path = tmp_path / "mapping.yaml"
    text = (FOLDER / "loader.yaml").read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(MappingRefused) as caught:
        ForeignCodec(RIGHT, load_mapping(path))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_dbc_without_a_frame_that_the_mapping_names__is_refused() -> None:
    with pytest.raises(MappingRefused, match="there is no frame LoaderCommand"):
        ForeignCodec(CONFIGS / "dbc" / "headframe_dbw_v1.dbc", MAPPING)


def test_file_that_is_no_dbc_or_not_there__is_refused(tmp_path: Path) -> None:
    bad = tmp_path / "bad.dbc"
    bad.write_text("BO_ what", encoding="utf-8")
    with pytest.raises(MappingRefused, match="no DBC"):
        ForeignCodec(bad, MAPPING)
    with pytest.raises(MappingRefused, match="cannot be read"):
        ForeignCodec(tmp_path / "none.dbc", MAPPING)
    with pytest.raises(MappingRefused, match="cannot be read"):
        load_mapping(tmp_path / "none.yaml")


def test_frame_that_is_none_of_the_dbc__tells_nothing() -> None:
    codec = ForeignCodec(RIGHT, MAPPING)
    assert codec.decode(0x123, bytes(8)) == {}
    can_id, data = codec.encode("LoaderBrake", {"Deceleration": 1.0})
    assert codec.decode(can_id, data) == {("LoaderBrake", "Deceleration"): 1.0}
    assert codec.decode(can_id, data[:2]) == {}


# As a suite


def test_suite_on_the_shipped_benches__good_passes_and_the_mistakes_fail(tmp_path: Path) -> None:
    def verdicts(bench: str) -> dict[str, Verdict]:
        path = CONFIGS / "benches" / f"{bench}.yaml"
        result = run(Options(path, tmp_path, ("conformance",), (), 1, False))
        return {c.case.id: c.verdict for c in result.cases}

    assert set(verdicts("emulated").values()) == {Verdict.PASS}
    wrong = verdicts("loader-with-mistakes")
    assert [case for case, verdict in wrong.items() if verdict is Verdict.FAIL] == [
        "CON-01",
        "CON-02",
        "CON-04",
    ]


def test_defects_of_a_foreign_machine__are_tried_on_the_kits_cases_alone(tmp_path: Path) -> None:
    bench = CONFIGS / "benches" / "emulated.yaml"
    result = run(Options(bench, tmp_path, (), ("CON-06",), 1, True))
    caught = [name for name, row in result.caught.items() if Verdict.FAIL in row.values()]
    assert caught == ["machine:ignores_disarm", "machine:moves_unarmed"]
    assert {name.split(":")[0] for name in result.caught} == {"machine"}


def test_bench_without_a_foreign_machine__refuses_the_suite(tmp_path: Path) -> None:
    bench = CONFIGS / "benches" / "udp.yaml"
    with pytest.raises(BenchRefused, match="--suite conformance: the bench file names no foreign"):
        run(Options(bench, tmp_path, ("conformance",)))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "  machine: {path: ../conformance/loader.dbc}\n",
            "",
            "needs machine .emulated. or channel",
        ),
        (
            "machine: {path: ../conformance/loader.dbc}",
            "channel: {kind: slcan, port: /dev/none}",
            "conformance: .*none",
        ),
        ("loader_with_mistakes.dbc}", "gone.dbc}", "conformance.dbc: .*gone.dbc: No such file"),
        (
            "loader_with_mistakes.dbc}",
            f"loader_with_mistakes.dbc, sha256: '{'0' * 64}'}}",
            "conformance.dbc: .*the bench was approved with 000000000000…",
        ),
        ("path: ../conformance/loader.yaml", "path: ../conformance/loader.dbc", "not YAML|mapping"),
    ],
)
def test_bench_file_with_a_mistake__is_refused_in_one_line(
    old: str, new: str, said: str, tmp_path: Path
) -> None:
    text = (CONFIGS / "benches" / "loader-with-mistakes.yaml").read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "bench.yaml"
    path.write_text(text.replace(old, new, 1).replace("path: ../", f"path: {CONFIGS}/"))
    with pytest.raises(BenchRefused, match=said):
        run(Options(path, tmp_path / "out", (), (), 1, False))


def test_machine_on_a_real_bus__is_asked_in_real_time() -> None:
    """By python-can's virtual bus, unarmed: what the kit says goes out, what comes in is heard."""
    ours = can.Bus(interface="virtual", channel="conformance", ignore_config=True)
    theirs = can.Bus(interface="virtual", channel="conformance", ignore_config=True)
    way = BusWay(ours, pause_ms=1)
    way.restart()
    theirs.send(can.Message(arbitration_id=0x18FF4081, data=b"\x03", is_extended_id=True))
    way.send(0x18FF3080, b"\x01\x02")
    way.advance(2_000_000)
    sent = theirs.recv(0)
    assert sent is not None
    assert (sent.arbitration_id, bytes(sent.data)) == (0x18FF3080, b"\x01\x02")
    assert way.heard() == [(0x18FF4081, b"\x03")]
    ours.shutdown()
    theirs.shutdown()


def test_suite__names_what_it_cannot_open() -> None:
    bench = load_bench(CONFIGS / "benches" / "emulated.yaml")
    assert bench.conformance is not None
    suite = ConformanceSuite(CONFIGS / "benches" / "emulated.yaml", bench.conformance)
    assert suite.emulated
    assert suite.run("scale").verdict is Verdict.PASS
    suite.close()
