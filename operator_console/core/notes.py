"""What of a drive the console tells its recorder, and how often."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from operator_console.core import cockpit_log
from operator_console.core.session import COPY
from protocol.control_peer import CommandPath
from recording import channels

SCREEN_AGAIN_NS = 1_000_000_000
"""What stands on the screen is told when it changes, and this often in any case."""
_STANDS = ("engagement", "link_up", "words_up", "lease", "holder", "waiting", "may", "stop")
_FIGURES = (
    *("picture_age_ms", "picture_age_is_least", "view_age_ms", "views_behind"),
    *("rtt_ms", "command_rate_hz"),
)
Json = Mapping[str, Any]


class Notes:
    """Says what happens to whoever records it.

    Args:
        give: takes a datagram, without waiting; None: nothing is recorded.
    """

    def __init__(self, give: Callable[[bytes], None] | None = None) -> None:
        self._give = give
        self._stood: dict[str, Any] = {}
        self._stood_ns: int | None = None

    def sent(self, now_ns: int, frame: bytes, paths: Mapping[CommandPath, bool]) -> None:
        """A command left by these paths, or was taken by none."""
        if self._give is not None:
            self._give(cockpit_log.command(now_ns, frame, paths))

    def heard(self, now_ns: int, path: CommandPath, verdict: str, frame: bytes) -> None:
        """A state frame came; of a copy only its head is told."""
        if self._give is not None:
            told = cockpit_log.state_head(frame) if verdict == COPY else frame
            self._give(cockpit_log.state(now_ns, path, verdict, told))

    def said(self, now_ns: int, what: str, token: bytes) -> None:
        """A request or a stop went out."""
        self._row(now_ns, channels.WORDS, {"sent": what, "token": token.decode("latin-1")})

    def told(self, now_ns: int, what: str, text: bytes, *, counts: bool) -> None:
        """An answer, who may drive, or an event came."""
        content = {"heard": what, "counts": counts, "text": text.decode("latin-1")}
        self._row(now_ns, channels.WORDS, content)

    def head(self, now_ns: int, token: bytes) -> None:
        """The machine's recorder told how far it had got."""
        if self._give is not None:
            self._give(cockpit_log.head(now_ns, token))

    def hands(self, now_ns: int, source: str, content: object, *, counts: bool) -> None:
        """A snapshot of the driver's controls came, from a page or the desk."""
        self._row(now_ns, channels.HANDS, {"from": source, "counts": counts, "content": content})

    def asked(self, now_ns: int, action: str, source: str) -> None:
        """A person asked for an action."""
        self._row(now_ns, channels.ASKED, {"do": action, "from": source})

    def viewed(self, now_ns: int, content: object, *, counts: bool) -> None:
        """The driver's page presented a picture, or says that it is hidden or blurred."""
        self._row(now_ns, channels.VIEW, {"counts": counts, "content": content})

    def path(self, now_ns: int, name: str, *, up: bool) -> None:
        """A command path, or the line for words, came or went."""
        self._row(now_ns, channels.PATHS, {"path": name, "up": up})

    def shown(self, now_ns: int, state: Json) -> None:
        """The pages are shown this ``state`` message: its words when they change, and its ages."""
        if self._give is None:
            return
        console = state["console"]
        stands = {name: console[name] for name in _STANDS} | {
            "mode": None if state["vehicle"] is None else state["vehicle"]["mode"],
            **{name: _code(console[name]) for name in ("message", "why", "cause")},
            "step": None if console["step"] is None else console["step"]["en"],
            "blockers": [each["code"] for each in console["blockers"]],
            "desk": console["desk"],
            "display_ok": console["display_ok"],
            "out": [each["name"] for each in console["paths"] if each["out"]],
        }
        again = self._stood_ns is None or now_ns - self._stood_ns >= SCREEN_AGAIN_NS
        if stands == self._stood and not again:
            return
        self._stood, self._stood_ns = stands, now_ns
        ages = {name: console[name] for name in _FIGURES}
        content = stands | ages | {"state_age_ms": state["state_age_ms"]}
        self._row(now_ns, channels.SCREEN, content)

    def _row(self, now_ns: int, topic: str, content: Json) -> None:
        if self._give is not None:
            self._give(cockpit_log.row(now_ns, topic, content))


def _code(words: Json | None) -> str | None:
    return None if words is None else str(words["code"])
