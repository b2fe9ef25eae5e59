"""How far both recorders have got: the machine tells its own, and keeps what cockpits tell."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from protocol.messages import load_private_key, load_trust
from protocol.topics import Topics
from recording import channels
from recording.backlog import Item
from recording.heads import announced, proven
from recording.reader import open_log
from sim import demo
from vehicle_agent.log import disk
from vehicle_agent.shell import clock, ipc, recorder
from vehicle_agent.shell.config import AgentSettings, load_agent_config
from vehicle_agent.shell.link import HEAD_BURST, PROOF_BURST, Link

S = 1_000_000_000
SIGNAL = Topics(demo.SITE_ID, demo.VEHICLE_ID).signal("console-1")
CONTENT = {"session": "a", "segment": 1, "head": "ab" * 32, "utc_ns": 1}


@pytest.fixture
def settings(tmp_path: Path) -> AgentSettings:
    machine = demo.find_config("machines", demo.DEFAULT_MACHINE)
    plan = demo.Plan(tmp_path, machine, demo.find_config("sites", demo.DEFAULT_SITE), 1, 1)
    demo.write_keys(tmp_path)
    demo.write_settings(plan)
    return load_agent_config(plan.agent_config)


@pytest.fixture
def boxes(settings: AgentSettings) -> Iterator[dict[str, ipc.Mailbox]]:
    made = {
        name: ipc.Mailbox(settings.runtime.dir, name)
        for name in (ipc.LINK, ipc.MEDIA, ipc.GUARDIAN)
    }
    yield made
    for each in made.values():
        each.close()


@pytest.fixture
def recorder_box(settings: AgentSettings) -> Iterator[ipc.Mailbox]:
    made = ipc.Mailbox(settings.runtime.dir, ipc.RECORDER)
    yield made
    made.close()


def head(settings: AgentSettings, count: int) -> bytes:
    key = load_private_key((settings.keys.trust.parent / "console-1.jwk").read_text("utf-8"))
    return announced(CONTENT | {"count": count}, "console-1", demo.VEHICLE_ID, key)


def test_cockpits_head__goes_to_the_recorder_and_a_flood_does_not(
    settings: AgentSettings, boxes: dict[str, ipc.Mailbox], recorder_box: ipc.Mailbox
) -> None:
    link = Link(settings, boxes[ipc.LINK])
    tokens = [head(settings, count) for count in range(HEAD_BURST + 8)]
    for token in tokens:
        link._to_machine(SIGNAL, token, retained=False)
    taken = list(iter(recorder_box.receive, None))

    assert HEAD_BURST <= len(taken) <= HEAD_BURST + 2
    assert set(taken) <= {ipc.TO_RECORDER_HEAD + token for token in tokens}
    assert boxes[ipc.MEDIA].receive() is None


@pytest.mark.parametrize(
    ("topic", "in_its_way"),
    [
        (SIGNAL, lambda token: token[:-4] + b"AAAA"),
        (SIGNAL, lambda token: token),
        (Topics(demo.SITE_ID, demo.VEHICLE_ID).signal("console-2"), lambda token: token),
    ],
)
def test_heads_that_are_forged_or_said_again__do_not_keep_a_cockpits_own_out(
    settings: AgentSettings,
    boxes: dict[str, ipc.Mailbox],
    recorder_box: ipc.Mailbox,
    topic: str,
    in_its_way: Callable[[bytes], bytes],
) -> None:
    link = Link(settings, boxes[ipc.LINK])
    first, second = head(settings, 1), head(settings, 2)
    link._to_machine(SIGNAL, first, retained=False)
    for _ in range(HEAD_BURST * 3):
        link._to_machine(topic, in_its_way(first), retained=False)
    link._to_machine(SIGNAL, second, retained=False)

    taken = [each[1:] for each in iter(recorder_box.receive, None)]
    assert taken == [first, second]


def test_flood_in_one_cockpits_name__costs_a_bounded_number_of_proofs(
    settings: AgentSettings, boxes: dict[str, ipc.Mailbox], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "monotonic_ns", lambda: S)
    link = Link(settings, boxes[ipc.LINK])
    junk = head(settings, 1)[:-4] + b"AAAA"
    nobody = Topics(demo.SITE_ID, demo.VEHICLE_ID).signal("nobody")
    for topic in (SIGNAL, nobody):
        for _ in range(PROOF_BURST + 50):
            link._to_machine(topic, junk, retained=False)

    figures = link._figures()
    assert figures["heads_refused"] == PROOF_BURST
    assert figures["heads_dropped"] == {"console-1": 50}


def test_machines_recorder__keeps_cockpits_heads_and_tells_its_own(
    settings: AgentSettings, boxes: dict[str, ipc.Mailbox]
) -> None:
    made = recorder.Recorder(settings)
    heads = [head(settings, count) for count in (1, 1, 2)]
    made.disk.blocked(S)
    for token in heads:
        made.disk.take(S, Item(disk.HEAD, channels.PEER, S, token))
    made.disk.look(2 * S, {})
    made._report(2 * S)
    made.disk.close(2 * S)
    made._mailbox.close()
    told = ipc.split_name((boxes[ipc.LINK].receive() or b"")[1:])
    assert told is not None
    assert settings.recorder is not None
    log = open_log(next(each for each in settings.recorder.dir.iterdir() if each.is_dir()))
    trust = load_trust(settings.keys.trust.read_text("utf-8"))
    token = json.loads(told.content)["evidence"].encode()
    claims = proven(token, trust, demo.VEHICLE_ID, of_vehicle=True)

    assert [m.json()["count"] for m in log.messages({channels.PEER})] == [1, 2]
    assert claims is not None
    assert claims.head in [m.json()["head"] for m in log.messages({channels.CHAIN})]


def test_clocks_of_a_log__go_together_however_long_its_beginning_took(
    settings: AgentSettings, boxes: dict[str, ipc.Mailbox], monkeypatch: pytest.MonkeyPatch
) -> None:
    now_ns = [S]

    def asks_git() -> dict[str, str]:
        now_ns[0] += 7 * S
        return {}

    monkeypatch.setattr(recorder, "software", asks_git)
    monkeypatch.setattr(clock, "monotonic_ns", lambda: now_ns[0])
    monkeypatch.setattr(clock, "wall_ns", lambda: now_ns[0] + 1000 * S)
    made = recorder.Recorder(settings)
    made._mailbox.close()

    assert made.disk.plan.offset_ns == 1000 * S
