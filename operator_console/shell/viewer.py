"""A viewer without a screen: decodes the cameras and says which picture arrived when.

For scripted drivers, measurements and tests. Where it can have offers carried at any time it keeps
a second connection at hand, and turns to that one when its pictures stop (see core/standby.py).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self

from operator_console.core.standby import StandbyWatch
from operator_console.shell import clock, rtc_receive
from operator_console.shell.picture_peer import PictureCounts, PicturePeer, ViewedFrame
from protocol.strip import COUNTER_MODULUS

Exchange = Callable[[str], Awaitable[str | None]]
"""Brings an offer of a standby to the vehicle, and returns its answer; None: there is none."""

logger = logging.getLogger("headframe.viewer")


class HeadlessViewer:
    """One viewer of some cameras. Use as ``async with``; then `offer`, `accept`.

    `on_frame` is called in the event loop for each picture, newest only, never for an older one.

    Attributes:
        ended: set when the connection failed or was closed, and no other stood by.
        turned: how often the pictures went over to the standby.
    """

    def __init__(
        self,
        on_frame: Callable[[ViewedFrame], None],
        cameras: Sequence[int] = (0,),
        ice_addresses: Sequence[str] = (),
    ) -> None:
        rtc_receive.install()
        self.cameras = tuple(cameras)
        self.ended = asyncio.Event()
        self.turned = 0
        self._on_frame = on_frame
        self._ice_addresses = tuple(ice_addresses)
        self._counts = PictureCounts()
        self._last_frame: dict[int, int] = {}
        self._upkeep_task: asyncio.Task[None] | None = None
        self._watch = StandbyWatch()
        self._shown = self._new_peer()
        self._standby: PicturePeer | None = None
        self._left: list[PicturePeer] = []

    async def __aenter__(self) -> Self:
        # Not a task group: that would wrap every error of the caller's own block.
        self._upkeep_task = asyncio.create_task(self._keep_up(), name="viewer upkeep")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._upkeep_task is not None:
            self._upkeep_task.cancel()
            with suppress(asyncio.CancelledError):
                await self._upkeep_task
        self._leave(self._standby)
        self._leave(self._shown)
        await asyncio.gather(*(peer.close() for peer in self._left))
        if self._shown.ended.is_set():
            self.ended.set()

    async def offer(self) -> str:
        """Return the description to be signed and sent, with all candidates inside."""
        return await self._shown.offer()

    async def accept(self, answer_sdp: str) -> None:
        """Take the vehicle's answer; pictures come from then on.

        Raises:
            Exception: of many kinds, from aiortc, for an answer that does not fit the offer.
        """
        await self._shown.accept(answer_sdp)

    async def keep_standby(self, exchange: Exchange) -> None:
        """Keep a second connection at hand, for ever: to be run beside once pictures are wanted."""
        while True:
            await asyncio.sleep(rtc_receive.UPKEEP_PERIOD_S)
            while self._left:
                await self._left[0].close()
                del self._left[0]
            standby = self._standby
            if (standby is None or not standby.ready) and self._watch.builds(clock.monotonic_us()):
                self._leave(standby)
                self._standby = self._new_peer()
                await self._connect(self._standby, exchange)

    @property
    def stands_by(self) -> bool:
        """A second connection is there, and ready."""
        return self._standby is not None and self._standby.ready

    @property
    def taken(self) -> int:
        """Pictures decoded and looked at."""
        return self._counts.taken

    @property
    def unread(self) -> int:
        """Of these, without a readable strip."""
        return self._counts.unread

    @property
    def nacks(self) -> int:
        """Repeated requests for lost packets, over all cameras, by the present connection."""
        return self._shown.nacks

    @property
    def key_requests(self) -> int:
        """Key frames asked for after a stall, over all cameras, by the present connection."""
        return self._shown.key_requests

    @property
    def skipped(self) -> int:
        """Pictures decoded with a newer one, and so not looked at, by the present connection."""
        return self._shown.skipped

    def _new_peer(self) -> PicturePeer:
        return PicturePeer(
            self.cameras, self._ice_addresses, self._counts, self._give, self._on_sent
        )

    async def _connect(self, standby: PicturePeer, exchange: Exchange) -> None:
        try:
            answer = await exchange(await standby.offer())
            if answer is not None:
                await standby.accept(answer)
        except Exception:  # of many kinds, from aiortc: it costs this attempt
            logger.exception("standby not connected")

    async def _keep_up(self) -> None:
        while True:
            await asyncio.sleep(rtc_receive.UPKEEP_PERIOD_S)
            now_us = clock.monotonic_us()
            await self._shown.keep_up(now_us)
            if self._shown.ended.is_set():
                self._turn_or_end()
            if self._watch.asks(now_us):
                self._next_way().ask()

    def _next_way(self) -> PicturePeer:
        """Return the connection to ask when no pictures come: the standby, where it is ready.

        Else the shown one: its pictures may have been asked for elsewhere, where none came.
        """
        standby = self._standby
        return standby if standby is not None and standby.ready else self._shown

    def _turn_or_end(self) -> None:
        next_way = self._next_way()
        if next_way is self._shown:
            self.ended.set()
        else:
            self._turn(next_way)
            next_way.ask()

    def _on_sent(self, peer: PicturePeer) -> None:
        if peer is self._standby:
            self._turn(peer)

    def _turn(self, standby: PicturePeer) -> None:
        """Let the standby be the connection that is looked at."""
        self._leave(self._shown)
        self._shown, self._standby = standby, None
        self.turned += 1
        self._watch.turned()

    def _leave(self, peer: PicturePeer | None) -> None:
        if peer is not None:
            self._left.append(peer)

    def _give(self, frame: ViewedFrame) -> None:
        last = self._last_frame.get(frame.camera)
        if last is not None and not 0 < (frame.frame - last) % COUNTER_MODULUS < (
            COUNTER_MODULUS // 2
        ):
            return
        self._last_frame[frame.camera] = frame.frame
        self._watch.on_picture(frame.received_us)
        self._on_frame(frame)
