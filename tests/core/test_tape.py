"""What goes onto the tape comes off it again, whole: setup, inputs, outputs, inner state."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import OKPKey

from protocol.control_peer import CommandPath
from protocol.dbw.codec import ContactState
from protocol.messages import generate_identity
from protocol.profiles import parse_profile
from protocol.relay import OpenReason, RelayReport
from tests.rig import Rig
from vehicle_agent.core import tape
from vehicle_agent.core.clearance import RangeFinder
from vehicle_agent.core.keystate import KeyStateError, freeze, thaw
from vehicle_agent.core.record import Record
from vehicle_agent.core.relay import RelayStatus
from vehicle_agent.core.supervisor import Setup, Supervisor, TickInputs, TickOutputs

MACHINES = sorted((Path(__file__).parents[2] / "configs" / "machines").glob("*.toml"))
KEY = OKPKey.import_key(dict(generate_identity()[0]))
REPORT = RelayReport(
    challenge=7,
    estop_a=ContactState.CLOSED,
    estop_b=ContactState.OPEN,
    feedback=ContactState.ERROR,
    closed=True,
    discrepancy=True,
    reason=OpenReason.WELDED,
    last_accepted=65_535,
    refused=3,
)
FULL = TickInputs(
    commands=((0, b"\x00\xff"), (1, b"")),
    requests=(("console-1", b"a.b.c"),),
    stops=(("gate", b"d.e.f"),),
    retained=(0, 1),
    bus=((0x18FF0102, bytes(8)),),
    durable=Record(3, 9, "L102"),
    relay=RelayStatus(REPORT, 12, None),
    outside_zone=False,
    scans=(b"scan",),
    places=(b"place",),
    nearby=(b"near", b"by"),
)


def through_json(content: dict[str, Any]) -> dict[str, Any]:
    made = json.loads(tape.to_bytes(content))
    assert isinstance(made, dict)
    return made


def driving() -> Rig:
    rig = Rig(paths=frozenset(CommandPath))
    rig.ways = (0, 1)
    rig.drive()
    return rig


@pytest.mark.parametrize("given", [FULL, TickInputs()])
def test_inputs_written_and_read__are_the_same(given: TickInputs) -> None:
    assert tape.given_of(through_json(tape.inputs_of(1, 2, given))) == given


def test_every_input_there_is__is_among_those_tested() -> None:
    empty = TickInputs()

    assert [name for name in FULL._fields if getattr(FULL, name) == getattr(empty, name)] == []


def test_every_output_there_is__has_a_name_on_the_tape() -> None:
    rig = driving()
    said = TickOutputs(
        bus=((1, b"x"),),
        state=bytes(64),
        acks=(("console-1", b"a.b.c"),),
        authority=b"{}",
        events=("L101",),
        telemetry=(("control", b"{}"),),
        persist=Record(1, 2, None),
        healthy=False,
    )

    content = tape.outputs_of(1, 2, rig.supervisor, said)

    assert set(said._fields) <= content.keys()
    assert tape.state_frame(content["state"]) == said.state


@pytest.mark.parametrize("path", MACHINES, ids=lambda path: path.stem)
def test_setup_of_each_machine__comes_back_whole_but_for_its_key(path: Path) -> None:
    profile = parse_profile(path.read_text(encoding="utf-8"), path.name)
    setup = replace(
        Rig().setup,
        limits=profile.limits,
        adapter=profile.adapter,
        paths=frozenset(CommandPath),
        rear_camera=1,
        relay_fitted=True,
        settings_mismatch=True,
        locator=True,
        finder=RangeFinder.of(profile.machine, 30.0),
    )

    made = tape.setup_of(through_json(tape.boot_of(setup)), KEY)

    same = [field.name for field in fields(Setup) if field.name not in ("key", "trust")]
    assert {name: getattr(made, name) for name in same} == {
        name: getattr(setup, name) for name in same
    }
    assert tape.boot_of(made)["trust"] == tape.boot_of(setup)["trust"]


def test_boot_written__holds_no_private_key() -> None:
    rig = Rig()
    private = rig.setup.key.as_dict(private=True)["d"]

    assert str(private) not in tape.to_bytes(tape.boot_of(rig.setup)).decode()


def test_answers__are_compared_without_their_signature() -> None:
    rig = Rig()
    rows = [
        tape.outputs_of(1, 2, rig.supervisor, TickOutputs(acks=(("console-1", token),)))
        for token in (b"a.b.one", b"a.b.two", b"a.x.one")
    ]
    one, two, other = map(tape.comparable, rows)

    assert one == two
    assert one != other


def test_state_frozen_and_thawed__goes_on_the_same() -> None:
    rig = driving()
    state = json.loads(json.dumps(freeze(rig.supervisor, rig.setup)))
    other = thaw(state, rig.setup)
    begun = len(rig.inputs)
    rig.console.sends = False
    rig.run(1.0)

    said = [other.step(now_ns, given) for now_ns, given in rig.inputs[begun:]]

    assert said == rig.outputs[begun:]
    assert freeze(other, rig.setup) == freeze(rig.supervisor, rig.setup)


@pytest.mark.parametrize("steps", [Rig.lease, Rig.arm, Rig.activate])
def test_state_in_every_mode__can_be_frozen(steps: Any) -> None:
    rig = Rig()
    steps(rig)
    state = freeze(rig.supervisor, rig.setup)

    assert freeze(thaw(state, rig.setup), rig.setup) == state


def test_seed_and_lease_keys__are_in_the_state_and_the_signing_key_is_not() -> None:
    rig = driving()
    private = rig.setup.key.as_dict(private=True)["d"]

    assert str(private) not in json.dumps(freeze(rig.supervisor, rig.setup))


def test_supervisor_that_holds_something_foreign__its_place_is_named() -> None:
    rig = Rig()
    rig.supervisor._strange = Path("x")  # type: ignore[attr-defined]

    with pytest.raises(KeyStateError, match=r"supervisor\._strange: a pathlib"):
        freeze(rig.supervisor, rig.setup)


@pytest.mark.parametrize(
    "state",
    [
        ["object", "os:system", {}],
        ["object", "vehicle_agent.core.supervisor:json", {}],
        ["object", "vehicle_agent.core.nothing:Nothing", {}],
        ["enum", "pathlib:Path", "x"],
        [
            "object",
            "vehicle_agent.core.record:Record",
            {"generation": 1, "epoch": 1, "latch": None},
        ],
        ["seen", 5],
        ["object"],
        7,
    ],
)
def test_state_that_is_none__is_refused(state: Any) -> None:
    with pytest.raises(KeyStateError):
        thaw(state, Rig().setup)


def test_supervisor_thawed__is_one() -> None:
    rig = Rig()

    assert isinstance(thaw(freeze(rig.supervisor, rig.setup), rig.setup), Supervisor)
