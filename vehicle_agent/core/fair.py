"""Who is listened to when many speak at once: bounded work a tick, and nobody starves another.

Proving a signature costs a fifth of a millisecond. Of each identity only so many messages are
looked at in one tick, and of all together only so many more; who was listened to longest ago
comes first. The author in the topic is what the broker and the control peer vouch for; whoever
is not trusted at all costs no signature.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Collection, Sequence

from protocol.errors import Refusal


class FairShare:
    """Picks the messages of one kind that a tick looks at.

    Args:
        trusted: identities that have a turn.
        of_one: looked at of each identity in a tick; the newest ones.
        of_all: looked at in a tick.

    Attributes:
        heard, dropped: messages by trusted identity.
        unknown: messages of others.
    """

    def __init__(self, trusted: Collection[str], of_one: int, of_all: int) -> None:
        self._of_one = of_one
        self._of_all = of_all
        self._longest_ago = OrderedDict.fromkeys(trusted)
        self.heard: Counter[str] = Counter()
        self.dropped: Counter[str] = Counter()
        self.unknown = 0

    def pick(self, messages: Sequence[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
        """Return what is looked at in this tick, in the order of arrival.

        Args:
            messages: author and signed text of each.
        """
        by_author: dict[str, list[int]] = {}
        for number, (author, _) in enumerate(messages):
            if author in self._longest_ago:
                self.heard[author] += 1
                by_author.setdefault(author, []).append(number)
            else:
                self.unknown += 1
        chosen: list[int] = []
        for author in [name for name in self._longest_ago if name in by_author]:
            room = min(self._of_one, self._of_all - len(chosen))
            numbers = by_author[author]
            taken = numbers[max(0, len(numbers) - room) :]
            self.dropped[author] += len(numbers) - len(taken)
            if taken:
                self._longest_ago.move_to_end(author)
            chosen += taken
        return [messages[number] for number in sorted(chosen)]

    def refusals(self) -> dict[Refusal, int]:
        """Return what was not looked at, by reason."""
        counts = {
            Refusal.RATE_LIMITED: self.dropped.total(),
            Refusal.UNKNOWN_IDENTITY: self.unknown,
        }
        return {reason: number for reason, number in counts.items() if number}

    def audit(self) -> dict[str, dict[str, int]]:
        """Return heard and dropped of each identity that has spoken."""
        return {
            name: {"heard": number, "dropped": self.dropped[name]}
            for name, number in sorted(self.heard.items())
        }
