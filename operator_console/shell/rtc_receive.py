"""Every change that the console makes to aiortc's receiver, each checked when this is imported.

Stock aiortc holds each picture back until the next one begins, asks once for a lost packet, and
after a loss lets the backlog out one picture a packet. Here:

1. a picture is released by its marker bit, and all whole pictures at once;
2. a missing packet is asked for again, and a key frame after 150 ms without progress, or at once
   after an outage; a whole key frame behind a gap is taken at once;
3. the decoder's queue is bounded: what waits is decoded, and only the newest is handed out;
4. ICE offers the addresses of `ice_addresses()` only, also 127.0.0.1; consent is lost in some 12 s;
5. SCTP takes what is unacknowledged for 0.2 s as lost (stock 1 s, and 3 s before the first answer):
   a data channel would otherwise say nothing for a second after an outage. It times by the
   monotonic clock: a step of the wall clock would make it wait for a minute. Its congestion window
   never falls below what 50 messages a second need on the longest link that can be driven: stock
   falls to one packet a round trip when a loss goes unnoticed, some two states in 190 ms;
6. threads hand over the interpreter after 0.1 ms (CPython: 5 ms): a whole picture does not wait for
   its decoder while further packets and announcements are taken in.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import queue
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from importlib.metadata import version
from types import ModuleType
from typing import Any

import aioice.ice
import aioice.stun
import aiortc.rtcrtpreceiver
import aiortc.rtcsctptransport
import av
from aiortc import RTCConfiguration, RTCPeerConnection, RTCRtpReceiver
from aiortc.codecs import get_decoder
from aiortc.jitterbuffer import JitterBuffer, JitterFrame
from aiortc.rtcconfiguration import RTCBundlePolicy
from aiortc.rtcrtpparameters import RTCRtpCodecCapability, RTCRtpCodecParameters
from aiortc.rtp import RtpPacket
from aiortc.utils import uint16_add
from av.codec.context import Flags

from operator_console.shell import clock

AIORTC_SERIES = "1.16."
AIOICE_SERIES = "0.13."

NACK_AGAIN_US = 40_000
NACK_TRIES = 6
STALL_US = 150_000
OUTAGE_PACKETS = 32
"""Some five pictures: what is missing after an outage would come too late, if it came at all."""
KEY_REQUEST_AGAIN_US = 300_000
"""The sender's least interval between key frames; asking oftener changes nothing."""
UPKEEP_PERIOD_S = 0.02
MAX_UNITS_WAITING = 15
"""Half a second at 30 Hz: a decoder that is further behind starts again at a key frame."""
CONSENT_INTERVAL_S = 0.5
CONSENT_FAILURES = 6
CONSENT_REPEATS = 1
"""Each check has 0.5 s and 1 s: stock's 0.5 s ends every peer whose round trip is longer."""
SCTP_RTO_MIN_S = 0.2
SCTP_RTO_INITIAL_S = 0.5
SCTP_WINDOW_MIN_BYTES = 9280
"""Eight packets: 50 states of 670 bytes a second at a round trip of 250 ms. Less would not spare
the link: nothing is repeated here, and what a full window keeps out is dropped, never queued."""
SWITCH_S = 0.0001

_START_CODE = b"\x00\x00\x00\x01"
_NAL_IDR, _NAL_SPS = 5, 7

logger = logging.getLogger("headframe.receive")


class AiortcChanged(ImportError):
    """Raised at import when aiortc or aioice is not the one that these changes were made for."""


@dataclass(frozen=True, slots=True)
class Seam:
    """One inside that a change relies on: a name, and the lines its source must still have."""

    owner: ModuleType | type
    name: str
    lines: tuple[str, ...] = ()


SEAMS: tuple[Seam, ...] = (
    Seam(
        RTCRtpReceiver,
        "__init__",
        (
            "self.__jitter_buffer = JitterBuffer(capacity=512, is_video=True)",
            "self.__jitter_buffer = JitterBuffer(capacity=16, prefetch=4)",
        ),
    ),
    Seam(
        RTCRtpReceiver,
        "_handle_rtp_packet",
        (
            "pli_flag, encoded_frame = self.__jitter_buffer.add(packet)",
            "if self.__decoder_error.is_set():",
            "self.__decoder_queue.put((codec, encoded_frame))",
        ),
    ),
    Seam(RTCRtpReceiver, "receive", ("target=decoder_worker,", "self._track._queue,")),
    Seam(
        RTCRtpReceiver,
        "stop",
        ("self.__transport._unregister_rtp_receiver(self)", "self.__stop_decoder()"),
    ),
    Seam(
        RTCRtpReceiver,
        "_RTCRtpReceiver__stop_decoder",
        ("if self.__decoder_thread:", "self.__decoder_queue.put(None)"),
    ),
    Seam(RTCRtpReceiver, "_send_rtcp_nack", ("packet.lost = lost",)),
    Seam(RTCRtpReceiver, "_send_rtcp_pli", ("fmt=RTCP_PSFB_PLI",)),
    Seam(JitterBuffer, "add", ("return pli_flag, self._remove_frame(packet.sequence_number)",)),
    Seam(JitterBuffer, "remove", ("self._packets[pos] = None",)),
    Seam(aiortc.rtcrtpreceiver, "JitterBuffer"),
    Seam(aiortc.rtcrtpreceiver, "decoder_worker", ("codec, encoded_frame = task",)),
    Seam(aioice.ice, "get_host_addresses"),
    Seam(aioice.ice.Connection, "gather_candidates", ("addresses = get_host_addresses(",)),
    Seam(
        aioice.ice.Connection,
        "query_consent",
        (
            "asyncio.sleep(CONSENT_INTERVAL",
            "retransmissions=0",
            "failures >= CONSENT_FAILURES",
        ),
    ),
    Seam(aioice.ice.StunProtocol, "request", ("retransmissions=retransmissions",)),
    Seam(aioice.stun, "RETRY_RTO"),
    Seam(
        aiortc.rtcsctptransport.RTCSctpTransport,
        "__init__",
        ("self._rto = SCTP_RTO_INITIAL",),
    ),
    Seam(
        aiortc.rtcsctptransport.RTCSctpTransport,
        "_update_rto",
        ("self._rto = max(SCTP_RTO_MIN, ",),
    ),
    Seam(
        aiortc.rtcsctptransport.RTCSctpTransport,
        "_t3_expired",
        ("self._cwnd = USERDATA_MAX_LENGTH",),
    ),
    Seam(
        aiortc.rtcsctptransport.RTCSctpTransport,
        "_receive_sack_chunk",
        ("received_time = time.time()",),
    ),
)


def check_seams(
    seams: Sequence[Seam] = SEAMS,
    versions: Callable[[str], str] = version,
) -> None:
    """Check that aiortc and aioice are the ones that these changes were made for.

    Raises:
        AiortcChanged: naming what is missing or different.
    """
    for package, series in (("aiortc", AIORTC_SERIES), ("aioice", AIOICE_SERIES)):
        found = versions(package)
        if not found.startswith(series):
            raise AiortcChanged(f"{package} {series}x is needed, {found} is installed")
    for seam in seams:
        where = f"{seam.owner.__name__}.{seam.name}"
        target = getattr(seam.owner, seam.name, None)
        if target is None:
            raise AiortcChanged(f"{where} is gone")
        if not seam.lines:
            continue
        source = inspect.getsource(target)
        for line in seam.lines:
            if line not in source:
                raise AiortcChanged(f"{where} no longer has the line: {line}")


check_seams()


@dataclass(frozen=True, slots=True)
class Unit:
    """One whole access unit: Annex-B bytes, the RTP timestamp as sent, and whether it is an IDR."""

    data: bytes
    rtp_timestamp: int
    key: bool


class Burst(JitterFrame):
    """All access units that became whole with one packet; aiortc carries them as one frame."""

    def __init__(self, units: list[Unit]) -> None:
        super().__init__(units[0].data, units[0].rtp_timestamp)
        self.units = units


def starts_key_frame(data: bytes) -> bool:
    """Return whether depacketised data begins an IDR access unit (parameter sets come first)."""
    return len(data) > 4 and data.startswith(_START_CODE) and data[4] & 0x1F in (_NAL_IDR, _NAL_SPS)


class MarkerJitterBuffer(JitterBuffer):
    """Video jitter buffer that releases a picture with the last of its packets.

    Attributes:
        ssrc: of the newest packet; None before the first.
        released: access units given out.
    """

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity=capacity, is_video=True)
        self.ssrc: int | None = None
        self.released = 0
        self._highest: int | None = None
        self._key_start: int | None = None

    @property
    def origin(self) -> int | None:
        """Sequence number of the packet that the next picture begins with."""
        return self._origin

    def add(self, packet: RtpPacket) -> tuple[bool, JitterFrame | None]:
        """Take a packet; return whether a key frame is needed, and what became whole."""
        self.ssrc = packet.ssrc
        if self._highest is None or uint16_add(packet.sequence_number, -self._highest) < 0x8000:
            self._highest = packet.sequence_number
        if starts_key_frame(_data_of(packet)):
            self._key_start = packet.sequence_number
        return super().add(packet)

    def missing(self) -> list[int]:
        """Sequence numbers not received between the next picture and the newest packet."""
        if self._origin is None or self._highest is None:
            return []
        span = uint16_add(self._highest, -self._origin)
        if span >= self._capacity:
            return []
        numbers = (uint16_add(self._origin, step) for step in range(span))
        return [number for number in numbers if self._at(number) is None]

    def _remove_frame(self, sequence_number: int) -> JitterFrame | None:  # noqa: ARG002
        units = self._take_whole()
        if not units and self._jump_to_key():
            units = self._take_whole()
        self.released += len(units)
        return Burst(units) if units else None

    def _take_whole(self) -> list[Unit]:
        units: list[Unit] = []
        while self._origin is not None:
            length = self._whole_length(self._origin)
            if length == 0:
                break
            packets = [self._at(uint16_add(self._origin, step)) for step in range(length)]
            parts = [_data_of(packet) for packet in packets if packet is not None]
            first = packets[0]
            assert first is not None
            units.append(Unit(b"".join(parts), first.timestamp, starts_key_frame(parts[0])))
            self.remove(length)
        return units

    def _whole_length(self, start: int) -> int:
        """Return how many packets the picture from `start` has; 0 while it is not whole."""
        timestamp: int | None = None
        for step in range(self._capacity):
            packet = self._at(uint16_add(start, step))
            if packet is None:
                return 0
            if timestamp is None:
                timestamp = packet.timestamp
            elif packet.timestamp != timestamp:
                return step
            if packet.marker:
                return step + 1
        return 0

    def _jump_to_key(self) -> bool:
        """Go on at a whole key frame behind the gap; what lies before it is of no use any more."""
        if self._key_start is None or self._origin is None:
            return False
        ahead = uint16_add(self._key_start, -self._origin)
        if not 0 < ahead < self._capacity or self._whole_length(self._key_start) == 0:
            return False
        self.remove(ahead)
        return True

    def _at(self, sequence_number: int) -> RtpPacket | None:
        packet = self._packets[sequence_number % self._capacity]
        if packet is None or packet.sequence_number != sequence_number:
            return None
        return packet


def _data_of(packet: RtpPacket) -> bytes:
    data: bytes = vars(packet)["_data"]
    return data


class PictureSink:
    """Stands in the place of a remote track's queue: takes decoded pictures in the decoder thread.

    Attributes:
        skipped: pictures decoded but replaced by a newer one before they were handed out.
        restarts: times that the decoder fell behind and started again at a key frame.
    """

    def __init__(self, on_picture: Callable[[av.VideoFrame, int], None]) -> None:
        self.on_picture = on_picture
        self.skipped = 0
        self.restarts = 0

    async def put(self, item: object) -> None:
        """Take the end mark that aiortc puts into a track's queue."""

    async def get(self) -> None:
        """Return the end mark: such a track hands nothing out."""


def attach_sink(receiver: RTCRtpReceiver, sink: PictureSink) -> None:
    """Send the receiver's decoded pictures to `sink`. From inside the "track" event only."""
    vars(receiver.track)["_queue"] = sink


def jitter_buffer_of(receiver: RTCRtpReceiver) -> MarkerJitterBuffer:
    """Return the receiver's jitter buffer."""
    found = vars(receiver)["_RTCRtpReceiver__jitter_buffer"]
    assert isinstance(found, MarkerJitterBuffer)
    return found


async def end_decoder(receiver: RTCRtpReceiver) -> None:
    """End the receiver's decoder thread without blocking the loop, which aiortc's own way does."""
    inside = vars(receiver)
    thread: threading.Thread | None = inside["_RTCRtpReceiver__decoder_thread"]
    if thread is None:
        return
    inside["_RTCRtpReceiver__decoder_thread"] = None
    inside["_RTCRtpReceiver__decoder_queue"].put(None)
    await asyncio.to_thread(thread.join)


class _UnitDecoder:
    """Decodes units of one codec; H.264 slice by slice, without delay."""

    def __init__(self, codec: RTCRtpCodecParameters) -> None:
        self.is_h264 = codec.name.lower() == "h264"
        if self.is_h264:
            self._context = av.CodecContext.create("h264", "r")
            self._context.thread_type = "SLICE"  # a thread a picture would hold pictures back
            self._context.thread_count = 2
            self._context.flags |= Flags.low_delay
        else:
            self._stock = get_decoder(codec)

    def decode(self, unit: Unit) -> list[Any]:
        """Return the pictures of a unit. Raises av.FFmpegError."""
        if not self.is_h264:
            return self._stock.decode(JitterFrame(unit.data, unit.rtp_timestamp))
        packet = av.Packet(unit.data)
        packet.pts = unit.rtp_timestamp
        return list(self._context.decode(packet))


_Task = tuple[RTCRtpCodecParameters, JitterFrame]


def decoder_worker(
    loop: asyncio.AbstractEventLoop,
    input_q: queue.Queue[_Task | None],
    output_q: PictureSink | asyncio.Queue[Any],
    decode_error: threading.Event,
) -> None:
    """Decode what waits, hand out the newest, and begin only with a key frame."""
    decoder: _UnitDecoder | None = None
    codec_name = ""
    key_wanted = True
    while True:
        units, codec, ended = _collect(input_q)
        if codec is not None and codec.name != codec_name:
            decoder, codec_name, key_wanted = _UnitDecoder(codec), codec.name, True
        if units and decoder is not None:
            if len(units) > MAX_UNITS_WAITING and decoder.is_h264:
                key_wanted = True
                if isinstance(output_q, PictureSink):
                    output_q.restarts += 1
            key_wanted = _decode(decoder, units, key_wanted, loop, output_q, decode_error)
        if ended:
            asyncio.run_coroutine_threadsafe(output_q.put(None), loop)
            return


def _collect(
    input_q: queue.Queue[_Task | None],
) -> tuple[list[Unit], RTCRtpCodecParameters | None, bool]:
    """Wait for a task, then take all that wait: their units, the codec, whether this is the end."""
    units: list[Unit] = []
    codec: RTCRtpCodecParameters | None = None
    task = input_q.get()
    with suppress(queue.Empty):
        while task is not None:
            codec, frame = task
            units += frame.units if isinstance(frame, Burst) else _single(frame)
            task = input_q.get_nowait()
    return units, codec, task is None


def _single(frame: JitterFrame) -> list[Unit]:
    return [Unit(frame.data, frame.timestamp, starts_key_frame(frame.data))]


def _decode(
    decoder: _UnitDecoder,
    units: list[Unit],
    key_wanted: bool,
    loop: asyncio.AbstractEventLoop,
    output_q: PictureSink | asyncio.Queue[Any],
    decode_error: threading.Event,
) -> bool:
    """Decode from the newest key frame on; return whether a key frame is wanted still."""
    keys = [index for index, unit in enumerate(units) if unit.key]
    if decoder.is_h264:
        if keys:
            units, key_wanted = units[keys[-1] :], False
        elif key_wanted:
            decode_error.set()  # aiortc asks for a key frame with the next packet
            return True
    newest: tuple[Any, int] | None = None
    for unit in units:
        try:
            pictures = decoder.decode(unit)
        except av.FFmpegError as error:
            logger.warning("picture not decoded: %s", error)
            decode_error.set()
            continue
        for picture in pictures:
            if isinstance(output_q, PictureSink):
                output_q.skipped += newest is not None
                newest = (picture, unit.rtp_timestamp)
            else:
                loop.call_soon_threadsafe(output_q.put_nowait, picture)
    if newest is not None and isinstance(output_q, PictureSink):
        output_q.on_picture(*newest)
    return key_wanted if decoder.is_h264 else False


@dataclass(slots=True)
class _Asked:
    last_us: int
    times: int = 0


@dataclass(slots=True)
class ReceiverUpkeep:
    """Asks one receiver's sender again for what is missing, and for a key frame after a stall.

    Attributes:
        nacks, key_requests: requests sent.
    """

    receiver: RTCRtpReceiver
    nacks: int = 0
    key_requests: int = 0
    _asked: dict[int, _Asked] = field(default_factory=dict)
    _blocked_at: int | None = None
    _blocked_since_us: int = 0
    _last_key_request_us: int | None = None

    async def tick(self, now_us: int) -> None:
        """Look at the jitter buffer and send what is due. To be called each 20 ms."""
        buffer = jitter_buffer_of(self.receiver)
        missing = buffer.missing()
        if not missing or buffer.ssrc is None:
            self._asked.clear()
            self._blocked_at = None
            return
        if self._blocked_at != buffer.origin:
            self._blocked_at = buffer.origin
            self._blocked_since_us = now_us
        due = self._due_again(missing, now_us)
        if due:
            self.nacks += 1
            await self.receiver._send_rtcp_nack(buffer.ssrc, due)
        hopeless = len(missing) > OUTAGE_PACKETS
        stalled = hopeless or now_us - self._blocked_since_us >= STALL_US
        if stalled and self._may_request_key(now_us):
            self._last_key_request_us = now_us
            self.key_requests += 1
            await self.receiver._send_rtcp_pli(buffer.ssrc)

    def _due_again(self, missing: list[int], now_us: int) -> list[int]:
        """Return the packets to ask for now; aiortc itself asked when the gap was seen."""
        self._asked = {
            number: self._asked.get(number) or _Asked(last_us=now_us) for number in missing
        }
        due = []
        for number, asked in self._asked.items():
            if asked.times < NACK_TRIES and now_us - asked.last_us >= NACK_AGAIN_US:
                asked.last_us = now_us
                asked.times += 1
                due.append(number)
        return due

    def _may_request_key(self, now_us: int) -> bool:
        last_us = self._last_key_request_us
        return last_us is None or now_us - last_us >= KEY_REQUEST_AGAIN_US


_ice_addresses: ContextVar[tuple[str, ...] | None] = ContextVar(
    "headframe_console_ice_addresses", default=None
)


def _window(association: Any) -> int:
    return int(vars(association)["_cwnd"])


def _set_window(association: Any, size_bytes: int) -> None:
    vars(association)["_cwnd"] = max(size_bytes, SCTP_WINDOW_MIN_BYTES)


_WINDOW = property(_window, _set_window)
"""Stands in place of an association's congestion window."""


class _MonotonicTime:
    """Stands where aiortc's SCTP expects the module ``time``."""

    @staticmethod
    def time() -> float:
        return clock.monotonic_ns() / 1e9


@dataclass(slots=True)
class _Installed:
    done: bool = False


_installed = _Installed()


def install() -> None:
    """Make the changes in this process, once. Before the first peer connection is made."""
    if _installed.done:
        return
    _installed.done = True
    sys.setswitchinterval(SWITCH_S)
    stock_request = aioice.ice.StunProtocol.request
    stock_get_host_addresses = aioice.ice.get_host_addresses

    def jitter_buffer(capacity: int, prefetch: int = 0, is_video: bool = False) -> JitterBuffer:
        if is_video:
            return MarkerJitterBuffer(capacity)
        return JitterBuffer(capacity, prefetch)

    async def request(
        protocol: Any,
        message: Any,
        addr: tuple[str, int],
        integrity_key: bytes | None = None,
        retransmissions: int | None = None,
    ) -> Any:
        tries = CONSENT_REPEATS if retransmissions == 0 else retransmissions
        return await stock_request(protocol, message, addr, integrity_key, tries)

    def get_host_addresses(use_ipv4: bool, use_ipv6: bool) -> list[str]:
        chosen = _ice_addresses.get()
        return stock_get_host_addresses(use_ipv4, use_ipv6) if chosen is None else list(chosen)

    replacements: tuple[tuple[Any, str, Any], ...] = (
        (aiortc.rtcrtpreceiver, "JitterBuffer", jitter_buffer),
        (aiortc.rtcrtpreceiver, "decoder_worker", decoder_worker),
        (aioice.ice, "get_host_addresses", get_host_addresses),
        (aioice.ice.StunProtocol, "request", request),
        (aioice.ice, "CONSENT_INTERVAL", CONSENT_INTERVAL_S),
        (aioice.ice, "CONSENT_FAILURES", CONSENT_FAILURES),
        (aiortc.rtcsctptransport, "SCTP_RTO_MIN", SCTP_RTO_MIN_S),
        (aiortc.rtcsctptransport, "SCTP_RTO_INITIAL", SCTP_RTO_INITIAL_S),
        (aiortc.rtcsctptransport, "time", _MonotonicTime()),
        (aiortc.rtcsctptransport.RTCSctpTransport, "_cwnd", _WINDOW),
    )
    for owner, name, value in replacements:
        setattr(owner, name, value)


@contextmanager
def ice_addresses(addresses: Sequence[str]) -> Iterator[None]:
    """Offer only `addresses` as ICE hosts in what is awaited inside; none given: every address."""
    token = _ice_addresses.set(tuple(addresses) or None)
    try:
        yield
    finally:
        _ice_addresses.reset(token)


def new_peer_connection() -> RTCPeerConnection:
    """Return a peer connection on one transport, without any STUN or TURN server."""
    return RTCPeerConnection(
        RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE)
    )


async def close(connection: RTCPeerConnection, within_s: float) -> str | None:
    """Close a connection whatever aiortc comes upon; return what went wrong, or None.

    A peer that breaks its DTLS session makes closing raise OpenSSL's errors, which aiortc does not
    expect. The sockets are closed by themselves then.
    """
    try:
        async with asyncio.timeout(within_s):
            await connection.close()
    except TimeoutError:
        return f"not closed within {within_s:g} s"
    except Exception as error:
        await _close_sockets(connection, within_s)
        return str(error) or type(error).__name__
    return None


async def _close_sockets(connection: RTCPeerConnection, within_s: float) -> None:
    ends = [*(connection.getReceivers()), connection.sctp]
    secured = {end.transport for end in ends if end is not None and end.transport is not None}
    for transport in {each.transport for each in secured}:
        with suppress(Exception):
            async with asyncio.timeout(within_s):
                await transport.stop()


def h264_only() -> list[RTCRtpCodecCapability]:
    """Return the codec preferences that leave H.264 and its retransmission."""
    capabilities = RTCRtpReceiver.getCapabilities("video")
    assert capabilities is not None
    return [codec for codec in capabilities.codecs if codec.name.lower() in ("h264", "rtx")]
