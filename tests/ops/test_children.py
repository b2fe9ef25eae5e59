"""Child processes: ready lines, early ends, and that none outlives its parent."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sim.children import ChildError, Children, ChildSpec, Interrupted

ROOT = Path(__file__).parents[2]
STAYS = "import signal, sys; print('ready', flush=True); signal.pause()"
DEAF = (
    "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    "print('ready', flush=True); signal.pause()"
)
PARENT = """
import os, subprocess, sys
from pathlib import Path
from sim.children import Children, ChildSpec
stays, nests = sys.argv[2:4]
children = Children(Path(sys.argv[1]), lambda text: None)
started = [children.start(ChildSpec(f"c{n}", (sys.executable, "-c", code)))
           for n, code in enumerate((stays, stays, nests))]
children.wait_ready()
print(*(child.process.pid for child in started), started[2].lines[0], flush=True)
sys.stdin.read()
"""
NESTS = f"""
import subprocess, sys
from vehicle_agent.shell.lifeline import end_with_parent
inner = subprocess.Popen([sys.executable, "-c", {STAYS!r}], stdout=subprocess.PIPE,
                         preexec_fn=end_with_parent())
inner.stdout.readline()
print(inner.pid)
print("ready", flush=True)
inner.wait()
"""


def _python(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", code)


def _said(said: list[str]) -> str:
    return "\n".join(said)


def _ends(pidfd: int, within_s: float = 20.0) -> bool:
    return bool(select.select([pidfd], [], [], within_s)[0])


def test_child_says_ready__wait_returns_and_progress_names_it(tmp_path: Path) -> None:
    said: list[str] = []
    with Children(tmp_path, said.append) as children:
        child = children.start(ChildSpec("one", _python(STAYS)))
        children.wait_ready()
        assert child.ready
    assert "one ready after" in _said(said)
    assert child.process.returncode == -signal.SIGTERM


def test_child_ends_before_ready__error_carries_its_last_words(tmp_path: Path) -> None:
    code = "import sys; sys.stderr.write('first\\nheadframe: no such bus\\n'); sys.exit(3)"
    with Children(tmp_path, lambda _: None) as children:
        other = children.start(ChildSpec("other", _python(STAYS)))
        children.start(ChildSpec("bus", _python(code)))
        with pytest.raises(ChildError, match=r"^bus ended with code 3: no such bus$"):
            children.wait_ready()
    assert other.process.returncode is not None


def test_child__imports_this_checkout_and_nothing_of_the_folder_that_the_user_is_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('the wrong json')", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    code = "import json, sim; print('ready'); print(sim.__file__)"
    with Children(tmp_path, lambda _: None) as children:
        child = children.start(ChildSpec("one", _python(code)))
        children.wait_ready()
        assert children.wait_end(child, 20.0)
        assert child.lines == [str(ROOT / "sim" / "__init__.py")]


def test_child_never_ready__error_names_it_and_the_time(tmp_path: Path) -> None:
    silent = "import signal; signal.pause()"
    with Children(tmp_path, lambda _: None) as children:
        children.start(ChildSpec("silent", _python(silent), ready_within_s=0.2))
        with pytest.raises(ChildError, match=r"silent was not ready within 0\.2 s"):
            children.wait_ready()


def test_program_missing__error_names_the_child(tmp_path: Path) -> None:
    with (
        Children(tmp_path, lambda _: None) as children,
        pytest.raises(ChildError, match="ghost cannot be started"),
    ):
        children.start(ChildSpec("ghost", (str(tmp_path / "nothing"),)))


def test_child_killed_while_others_run__it_is_told_of_and_they_go_on(tmp_path: Path) -> None:
    said: list[str] = []
    with Children(tmp_path, said.append) as children:
        victim = children.start(ChildSpec("one", _python(STAYS)))
        waits = children.start(ChildSpec("two", _python(STAYS)))
        children.wait_ready()
        os.kill(victim.process.pid, signal.SIGKILL)
        assert not children.wait_end(None, 0.5)
        assert waits.process.poll() is None
    assert said[-1] == "one killed by signal 9; the rest goes on without it"


def test_awaited_child_ends__its_lines_and_code_are_there(tmp_path: Path) -> None:
    with Children(tmp_path, lambda _: None) as children:
        child = children.start(ChildSpec("one", _python("print('ready'); print('{}')")))
        children.wait_ready()
        assert children.wait_end(child, 20.0)
        assert children.finish(child, 1.0) == 0
        assert child.lines == ["{}"]


def test_child_is_ready_and_ends_in_one_breath__waited_for_as_any_other(tmp_path: Path) -> None:
    with Children(tmp_path, lambda _: None) as children:
        child = children.start(ChildSpec("one", _python("print('ready'); print('{}')")))
        os.waitid(os.P_PID, child.process.pid, os.WEXITED | os.WNOWAIT)
        children.wait_ready()
        assert children.wait_end(child, 20.0)
        assert child.lines == ["{}"]


def test_time_is_over__wait_end_says_so(tmp_path: Path) -> None:
    with Children(tmp_path, lambda _: None) as children:
        children.start(ChildSpec("one", _python(STAYS)))
        children.wait_ready()
        assert not children.wait_end(None, 0.01)


def test_sigterm_to_the_parent__wait_is_interrupted(tmp_path: Path) -> None:
    with Children(tmp_path, lambda _: None) as children:
        children.start(ChildSpec("one", _python(STAYS)))
        children.wait_ready()
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(Interrupted):
            children.wait_end(None, 20.0)


def test_sigint_while_the_children_are_attended__names_the_signal(tmp_path: Path) -> None:
    with Children(tmp_path, lambda _: None) as children:
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(Interrupted) as caught:
            children.attend(20.0)
    assert caught.value.number is signal.SIGINT


def test_child_ends_while_attended__it_is_kept_for_others_to_reap(tmp_path: Path) -> None:
    with Children(tmp_path, lambda _: None) as children:
        child = children.start(ChildSpec("one", _python("print('ready')")))
        children.wait_ready()
        assert children.wait_end(child, 20.0)
        children.attend(0.01)
        os.kill(child.process.pid, 0)  # its number is still its own
        children.discard(child)


def test_child_ignores_sigterm__it_is_killed_after_the_grace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sim.children.GRACE_S", 0.2)
    with Children(tmp_path, lambda _: None) as children:
        child = children.start(ChildSpec("deaf", _python(DEAF)))
        children.wait_ready()
    assert child.process.returncode == -signal.SIGKILL


def test_leader_dead_with_a_straggler_in_its_group__the_straggler_is_killed(
    tmp_path: Path,
) -> None:
    leader = (
        "import signal, subprocess, sys\n"
        f"inner = subprocess.Popen([sys.executable, '-c', {DEAF!r}], stdout=subprocess.PIPE)\n"
        "inner.stdout.readline()\n"
        "print(inner.pid); print('ready', flush=True); signal.pause()"
    )
    with Children(tmp_path, lambda _: None) as children:
        child = children.start(ChildSpec("leader", _python(leader)))
        children.wait_ready()
        straggler = os.pidfd_open(int(child.lines[0]))
        os.kill(child.process.pid, signal.SIGKILL)
        children.wait_end(child, 20.0)
        assert children.finish(child, 1.0) == -signal.SIGKILL
    assert _ends(straggler)
    os.close(straggler)


def test_parent_killed_outright__children_and_their_children_end(tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path), STAYS, NESTS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdin is not None
    assert parent.stdout is not None
    with parent.stdin, parent.stdout:
        pidfds = [os.pidfd_open(int(pid)) for pid in parent.stdout.readline().split()]
        parent.kill()
        parent.wait()
        assert len(pidfds) == 4
        assert all(_ends(pidfd) for pidfd in pidfds)
    for pidfd in pidfds:
        os.close(pidfd)
