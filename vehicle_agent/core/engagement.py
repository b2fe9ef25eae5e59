"""Whether a machine behind an adapter is driven remotely: the states that its own ECU lacks.

A J1939 or ISOBUS machine has no by-wire ECU that takes and ends remote control. The adapter keeps
that state in the ECU's place and by its rules: taken by an enable edge after DISABLE was heard,
under a session never used before; ended by anything that is missing or wrong; a stop latches until
it is acknowledged at standstill.
"""

from __future__ import annotations

from dataclasses import dataclass

from protocol.dbw.codec import EcuMode, ExitReason

CLEARED_WITHIN_NS = 500_000_000
"""By then the machine's last exit reason must be gone, or it has let go again."""
LATCHED = frozenset({EcuMode.SAFE_STOP, EcuMode.ESTOP})


@dataclass(frozen=True, slots=True)
class Seen:
    """The machine as it is now. What is unknown is told as the worse.

    Attributes:
        whole: every row that driving needs is in time. ready: it takes commands.
        estop_open: not known to be closed. local: somebody at the machine has it.
        stands: known to be at standstill. exit_reason: why the machine itself last let go.
    """

    whole: bool = False
    ready: bool = False
    estop_open: bool = True
    local: bool = False
    stands: bool = False
    exit_reason: ExitReason = ExitReason.CLEAR

    @property
    def let_go(self) -> bool:
        """True when the machine says that it ended remote control."""
        return self.exit_reason not in (ExitReason.CLEAR, ExitReason.NOT_AVAILABLE)

    @property
    def clear(self) -> bool:
        """True when nothing speaks against a beginning but the machine's own readiness."""
        return self.whole and self.stands and not self.estop_open and not self.local


@dataclass(frozen=True, slots=True)
class Wish:
    """What the supervisor asks: enable under a session, acknowledgement, the hardest stop."""

    enable: bool
    session: int
    fault_ack: bool
    estop: bool


class Engagement:
    """Remote control of one machine.

    Attributes:
        mode: in the ECU's words; INIT until the machine was whole once.
        reason: why remote control last ended. session: the latched one; 0 is none.
    """

    # Of a drive and of a stop; set when one begins.
    _since_ns: int
    _cleared: bool
    _ack_low_heard: bool

    def __init__(self) -> None:
        self._rest(ExitReason.CLEAR)
        self.mode = EcuMode.INIT
        self._used = 0

    def step(self, now_ns: int, wish: Wish, seen: Seen) -> EcuMode:
        """Move on by one tick and return the mode."""
        if self.mode is EcuMode.INIT:
            if seen.whole:
                self._rest(ExitReason.CLEAR)
            return self.mode
        if seen.whole and seen.estop_open:
            self._latch(EcuMode.ESTOP, ExitReason.OPERATOR_OVERRIDE)
        if self.mode is EcuMode.STANDBY:
            self._standby(now_ns, wish, seen)
        elif self.mode is EcuMode.ACTIVE:
            self._active(now_ns, wish, seen)
        elif self._acknowledged(wish) and seen.clear:
            self._rest(self.reason)
        return self.mode

    def _standby(self, now_ns: int, wish: Wish, seen: Seen) -> None:
        if not wish.enable:
            self._disable_heard = True
            return
        edge, self._disable_heard = self._disable_heard, False
        fresh = wish.session not in (0, self._used)
        if edge and fresh and seen.ready and seen.clear and not wish.estop:
            self.mode, self.reason = EcuMode.ACTIVE, ExitReason.CLEAR
            self.session = self._used = wish.session
            self._since_ns, self._cleared = now_ns, False

    def _active(self, now_ns: int, wish: Wish, seen: Seen) -> None:
        self._cleared = self._cleared or not seen.let_go
        settled = self._cleared or now_ns - self._since_ns > CLEARED_WITHIN_NS
        if seen.local:
            self._rest(ExitReason.OPERATOR_OVERRIDE)
        elif not seen.whole:
            self._latch(EcuMode.SAFE_STOP, ExitReason.FUNCTION_FAULT)
        elif seen.let_go and settled:
            self._latch(EcuMode.SAFE_STOP, seen.exit_reason)
        elif not seen.ready:
            self._latch(EcuMode.SAFE_STOP, ExitReason.CONTROL_POSITION)
        elif wish.estop or wish.session != self.session:
            self._latch(EcuMode.SAFE_STOP, ExitReason.RELEASED)
        elif not wish.enable and seen.stands:
            self._rest(ExitReason.RELEASED)
        elif not wish.enable:
            self._latch(EcuMode.SAFE_STOP, ExitReason.RELEASED)

    def _acknowledged(self, wish: Wish) -> bool:
        """True on the rising edge of the acknowledgement, without enable."""
        edge = self._ack_low_heard and wish.fault_ack
        self._ack_low_heard = not wish.fault_ack
        return edge and not wish.enable

    def _rest(self, reason: ExitReason) -> None:
        self.mode, self.reason, self.session = EcuMode.STANDBY, reason, 0
        self._disable_heard = False

    def _latch(self, mode: EcuMode, reason: ExitReason) -> None:
        """A harder stop replaces a softer one; the first reason stays."""
        if self.mode in LATCHED:
            self.mode = max(self.mode, mode)
            return
        self.mode, self.reason, self.session = mode, reason, 0
        self._ack_low_heard = False
