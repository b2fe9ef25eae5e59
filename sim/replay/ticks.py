"""The supervisor's side of a log as steps: a boot, a key state, a tick, a gap."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from joserfc.jwk import OKPKey
from pydantic_core import from_json

from protocol.messages import generate_identity
from recording import channels
from recording.reader import Log
from vehicle_agent.core import tape
from vehicle_agent.core.supervisor import Setup, TickInputs


@dataclass(frozen=True, slots=True)
class BootStep:
    """The supervisor was made anew."""

    setup: Setup
    utc_ns: int


@dataclass(frozen=True, slots=True)
class KeyStep:
    """The supervisor's whole state after tick ``number``; ``missing`` ticks are not in the log.

    The state is None where its text is not whole: recorders before December 2026 cut it at 64 KiB.
    """

    number: int
    state: Any
    utc_ns: int
    missing: int = 0


@dataclass(slots=True)
class TickStep:
    """One tick.

    Attributes:
        number: since the boot. missing: ticks before it that are not in the log.
        said: what was said, as written; None where that was lost. digest: of a golden log.
    """

    number: int
    now_ns: int
    utc_ns: int
    given: TickInputs
    heard: dict[str, Any]
    said: bytes | None = None
    missing: int = 0


Step = BootStep | KeyStep | TickStep
_TOPICS = frozenset({channels.BOOT, channels.KEY, channels.INPUTS, channels.OUTPUTS})


@dataclass(slots=True)
class Steps:
    """Reads steps from a log.

    Attributes:
        key: what signs answers in the machine's stead.
    """

    log: Log
    key: OKPKey = field(default_factory=lambda: OKPKey.import_key(dict(generate_identity()[0])))

    def __iter__(self) -> Iterator[Step]:
        """Yield the steps in order.

        Raises:
            ValueError, KeyError, TypeError: a message's content is none of this software's.
        """
        last: int | None = None
        boot: bytes | None = None
        waiting: TickStep | None = None
        for message in self.log.messages(_TOPICS):
            if message.topic == channels.OUTPUTS:
                if waiting is not None and _number(message.data) == waiting.number:
                    waiting.said = message.data
                    yield waiting
                    waiting = None
                continue
            if waiting is not None:
                yield waiting
                waiting = None
            if message.topic == channels.INPUTS:
                heard = from_json(message.data)
                number = heard["n"]
                if last is not None and number <= last:
                    continue  # told again to a recorder that followed one that was killed
                waiting = TickStep(number, heard["t"], message.log_ns, tape.given_of(heard), heard)
                waiting.missing = 0 if last is None else number - last - 1
                last = number
            elif message.topic == channels.BOOT:
                if message.data == boot:  # told again at the beginning of a file
                    continue
                boot = message.data
                yield BootStep(tape.setup_of(message.json(), self.key), message.log_ns)
                last = None
            else:
                try:
                    content = message.json()
                except ValueError:
                    yield KeyStep(last or 0, None, message.log_ns)
                    continue
                number = content["n"]
                if last is not None and number < last:
                    continue
                missing = 0 if last is None else number - last
                yield KeyStep(number, content["state"], message.log_ns, missing)
                last = number
        if waiting is not None:
            yield waiting


def _number(said: bytes) -> int:
    """The tick's number, which stands first in what it said."""
    return int(said[5 : said.index(b",", 5)])
