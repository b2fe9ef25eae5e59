"""A site's control room as one machine meets it: which ``call`` zones it has been let into.

The machine's driver calls, the site answers: a permission is the site's, and no console can give
one. It is for one entry, and ends when the whole machine has left the zone again. What was given to
a machine at the line ends too when that draws back from there without having entered.
"""

from __future__ import annotations

from collections.abc import Collection


class ControlRoom:
    """What it has said to one machine.

    Args:
        machine: the one that calls. answers_after_s: the site's (:class:`sim.world.site.Site`).
    """

    def __init__(self, machine: str, answers_after_s: float | None) -> None:
        self._machine, self._answers_after_s = machine, answers_after_s
        self._let_in: set[str] = set()
        self._inside: set[str] = set()
        self._near: set[str] = set()
        self._given_at_line: set[str] = set()
        self._called: tuple[str, float] | None = None

    def let_in(self, zone: str, machine: str) -> None:
        """Say that a machine may enter a zone once; what is said to another one counts for it."""
        if machine == self._machine:
            self._give(zone)

    def take_back(self, zone: str, machine: str) -> None:
        """Say that it may not, after all; who is in the zone already is not held in it."""
        if machine == self._machine:
            self._let_in.discard(zone)

    def has_let_in(self, zone: str) -> bool:
        """Whether the machine may enter a zone now."""
        return zone in self._let_in

    def follow(self, under: Collection[str], near: Collection[str]) -> None:
        """Note where the machine is; what it has left needs a new call.

        Args:
            under: zones that some part of it is in. near: zones before whose line it is.
        """
        self._let_in -= self._inside.difference(under)
        self._let_in -= self._given_at_line.difference(under, near)
        self._inside = self._let_in.intersection(under)
        self._given_at_line &= self._let_in
        self._near = set(near)

    def hear(self, at_s: float, zone: str | None) -> bool:
        """Hear a machine that stands at the line of a zone, or at none, and answer when it is time.

        Returns:
            Whether it was let in just now.
        """
        if zone is None:
            self._called = None
            return False
        if self._called is None or self._called[0] != zone:
            self._called = (zone, at_s)
        answered = self._answers_after_s
        if answered is None or at_s - self._called[1] < answered:
            return False
        self._give(zone)
        return True

    def _give(self, zone: str) -> None:
        self._let_in.add(zone)
        if zone in self._near:
            self._given_at_line.add(zone)
