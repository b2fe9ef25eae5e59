"""The attack benchmark: nothing acts, and one broken check of the acceptance shows."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, cast

import pytest

from benchmarks import attack
from protocol.frames import CommandFrame, frame_tag
from protocol.freshness import Acceptance

N = 40


class NoFence(Acceptance):
    """Takes every key that it knows for the lease's."""

    def _lease_of(self, frame: CommandFrame) -> Any:
        return self._open


class NoAge(Acceptance):
    """Looks at no echo: judges each command as if its echo were 100 ms old and the first."""

    def _judge(self, now_ns: int, data: bytes, path: int) -> Any:
        assert self._open is not None
        self._open.last_echo_us = 0
        echo_us = int.from_bytes(data[36:44], "little")
        return super()._judge(echo_us * 1000 + 100_000_000, data, path)


class NoTag(Acceptance):
    """Believes every tag under a key id that it knows."""

    def _judge(self, now_ns: int, data: bytes, path: int) -> Any:
        key = self._keys.get(int.from_bytes(data[8:10], "little"))
        signed = data if key is None else data[:72] + frame_tag(key, data[:72])
        return super()._judge(now_ns, signed, path)


def _acted(notes: str) -> set[str]:
    """The classes of which a command acted."""
    told = [part for part in notes.split("; ") if ": injected" in part]
    return {part.split(":")[0] for part in told if not part.endswith("acted on 0")}


def test_whole_acceptance__nothing_acts_and_every_class_is_counted() -> None:
    found = attack.measure(N)
    assert (found.samples, found.held, found.n) == ([0.0], True, N * (len(attack.ATTACKS) + 1))


def test_classes_that_differ__are_refused_for_different_reasons() -> None:
    with attack.door() as way_in:
        refused = {
            name: set(attack.inject(name, N, way_in).refused)
            for name in ("insertion", "masquerade", "forged tag", "other key", attack.MARKED)
        }
    assert refused == {
        "insertion": {"unknown_key"},
        "masquerade": {"epoch_fenced"},
        "forged tag": {"bad_tag"},
        "other key": {"bad_tag"},
        attack.MARKED: {"retained"},
    }


@pytest.mark.parametrize(
    ("broken", "classes"),
    [
        (NoFence, {"masquerade", "old epoch"}),
        (NoAge, {"unacceptable delay", "retained copy, mark lost"}),
        (NoTag, {"forged tag", "other key"}),
    ],
)
def test_one_check_broken__the_count_shows_it_and_the_exit_code_is_1(
    broken: Callable[..., Acceptance],
    classes: set[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(attack, "Acceptance", broken)
    monkeypatch.setattr("sys.argv", ["attack", "--n", f"{N}", "--json"])
    assert attack.main() == 1
    printed = cast("dict[str, Any]", json.loads(capsys.readouterr().out))
    assert printed["ours"]["p50"] >= N
    assert classes <= _acted(printed["notes"])


def test_link_that_forgets_the_mark__the_retained_copies_act(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("vehicle_agent.shell.link.NEVER_RETAINED", ())
    assert not attack.measure(N).held
