"""Every change that the machine makes to aiortc and aioice, each checked when this is imported.

aiortc has no public place for these, so they sit on its insides. An upgrade that moves one of
those insides must fail here, loudly and before a machine drives, not by a worse picture later.

1. Encoder seam: a track may hand out access units that are encoded and packetised already
   (`SharedStreamTrack`), so that one encoder serves every viewer. Key-frame and rate requests of a
   viewer reach the track, and so does the loss it reports. aiortc's own path stays as it is for
   other tracks.
2. The RTP timestamp of each access unit is told to its track before the packets leave.
3. `playout-delay` header extension, 0/0: the browser draws a picture as soon as it is decoded.
4. RTP history of 1024 packets (stock 128: 0.4 s at 3 Mbit/s); the track says which lost packets
   are sent again.
5. ICE consent lost in some 12 s (stock 33 s), and not on a link with a round trip of 0.5 to 1.5 s:
   stock gives each check 0.5 s, so that there every peer ends after its first checks.
6. ICE offers the addresses of `ice_addresses()` only, also 127.0.0.1, which aioice leaves out. By
   which one a peer is connected can be asked (`local_address()`).
7. SCTP takes what is unacknowledged for 0.2 s as lost (stock 1 s, and 3 s before the first answer):
   a data channel would otherwise say nothing for a second after an outage. It times by the
   monotonic clock: a step of the wall clock would make it wait for a minute. Its congestion window
   never falls below what 50 messages a second need on the longest link that can be driven: stock
   falls to one packet a round trip when a loss goes unnoticed, some two states in 190 ms.
8. Opus at 32 kbit/s (stock 96): sound is not to take the picture's bits.
"""

from __future__ import annotations

import asyncio
import inspect
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from importlib.metadata import version
from types import ModuleType
from typing import Any, cast

import aioice.ice
import aioice.stun
import aiortc.codecs
import aiortc.codecs.h264
import aiortc.codecs.opus
import aiortc.codecs.vpx
import aiortc.rtcicetransport
import aiortc.rtcrtpsender
import aiortc.rtcsctptransport
import aiortc.rtp
import aiortc.sdp
from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCIceServer,
    RTCPeerConnection,
    RTCRtpSender,
)
from aiortc.codecs.base import Encoder
from aiortc.rtcconfiguration import RTCBundlePolicy
from aiortc.rtcrtpparameters import (
    RTCRtpCodecCapability,
    RTCRtpCodecParameters,
    RTCRtpHeaderExtensionParameters,
    RTCRtpParameters,
)
from aiortc.rtp import (
    RTCP_PSFB_APP,
    RTCP_RTPFB_NACK,
    RtcpPsfbPacket,
    RtcpRrPacket,
    RtcpRtpfbPacket,
    RtcpSrPacket,
    RtpPacket,
    unpack_remb_fci,
)

from protocol.ice_settings import IceServer
from vehicle_agent.shell import clock
from vehicle_agent.shell.picture_encoder import Codec

AIORTC_SERIES = "1.16."
AIOICE_SERIES = "0.13."

PLAYOUT_DELAY_URI = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"
PLAYOUT_DELAY_ID = 4
PLAYOUT_DELAY_ZERO = bytes(3)
"""Least and greatest delay, 12 bits each in units of 10 ms: both zero."""
ONE_BYTE_PROFILE, ONE_BYTE_MAX_ID = 0xBEDE, 14
"""Of header extensions with one-byte heads (RFC 8285, 4.2). With its head ours is four bytes, so
that it stands before the others and nothing is packed anew."""
RTP_HISTORY_PACKETS = 1024
SOUND_BPS = 32_000
CONSENT_INTERVAL_S = 0.5
CONSENT_FAILURES = 6
CONSENT_REPEATS = 1
"""Each miss takes the interval and aioice's 0.5 s and 1 s of waiting: 6 × 2 s. That a link is away
is seen by other means, and much sooner; a peer that outlives an outage has its picture back at
once."""
SCTP_RTO_MIN_S = 0.2
SCTP_RTO_INITIAL_S = 0.5
SCTP_WINDOW_MIN_BYTES = 9280
"""Eight packets: 50 states of 670 bytes a second at a round trip of 250 ms. Less would not spare
the link: nothing is repeated here, and what a full window keeps out is dropped, never queued."""


class AiortcChanged(ImportError):
    """Raised at import when aiortc or aioice is not the one that these changes were made for."""


@dataclass(frozen=True, slots=True)
class Seam:
    """One inside that a change relies on: a name, and the lines its source must still have."""

    owner: ModuleType | type
    name: str
    lines: tuple[str, ...] = ()


SEAMS: tuple[Seam, ...] = (
    Seam(aiortc.rtcrtpsender, "get_encoder"),
    Seam(aiortc.rtcrtpsender, "RTP_HISTORY_SIZE"),
    Seam(aiortc.rtcrtpsender, "uint32_add"),
    Seam(
        RTCRtpSender,
        "_next_encoded_frame",
        (
            "data = await self.__track.recv()",
            "self.__encoder = get_encoder(codec)",
            "payloads, timestamp = self.__encoder.pack(data)",
        ),
    ),
    Seam(
        RTCRtpSender,
        "_run_rtp",
        (
            "timestamp = uint32_add(timestamp_origin, enc_frame.timestamp)",
            "self.__rtp_history[packet.sequence_number % RTP_HISTORY_SIZE] = (",
        ),
    ),
    Seam(
        RTCRtpSender,
        "_retransmit",
        ("packet = self.__rtp_history.get(sequence_number % RTP_HISTORY_SIZE)",),
    ),
    Seam(RTCRtpSender, "_send_keyframe", ("self.__force_keyframe = True",)),
    Seam(
        RTCRtpSender,
        "_handle_rtcp_packet",
        (
            "self._send_keyframe()",
            "filter(lambda x: x.ssrc == self._ssrc, packet.reports)",
            "for seq in packet.lost:",
            "bitrate, ssrcs = unpack_remb_fci(packet.fci)",
        ),
    ),
    Seam(RTCRtpSender, "__init__", ("rtp.HeaderExtensionsMap()",)),
    Seam(aiortc.codecs, "HEADER_EXTENSIONS"),
    Seam(aiortc.rtp.HeaderExtensionsMap, "configure", ("for ext in parameters.headerExtensions",)),
    Seam(aiortc.rtp.HeaderExtensionsMap, "set", ("return pack_header_extensions(extensions)",)),
    Seam(aiortc.rtp, "pack_header_extensions"),
    Seam(aiortc.rtp, "unpack_header_extensions"),
    Seam(aiortc.codecs.h264.H264Encoder, "_split_bitstream"),
    Seam(aiortc.codecs.h264.H264Encoder, "_packetize"),
    Seam(
        aiortc.codecs.vpx.Vp8Encoder,
        "_packetize",
        ("partition_start=1, partition_id=0, picture_id=picture_id",),
    ),
    Seam(aiortc.codecs.vpx.VpxPayloadDescriptor, "__bytes__", ("if self.picture_id is not None",)),
    Seam(aiortc.codecs.opus.OpusEncoder, "__init__", ("self.codec.bit_rate = 96000",)),
    Seam(aioice.ice, "get_host_addresses"),
    Seam(aioice.ice.Connection, "gather_candidates", ("addresses = get_host_addresses(",)),
    Seam(aioice.ice.Connection, "sendto", ("active_pair = self._nominated.get(component)",)),
    Seam(aioice.ice.CandidatePair, "local_addr"),
    Seam(
        aiortc.rtcicetransport.RTCIceTransport,
        "__init__",
        ("self._connection = gatherer._connection",),
    ),
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
class AccessUnit:
    """One encoded picture, ready to send.

    Attributes:
        payloads: RTP payloads, in order.
        pts_90khz: RTP time without the stream's random offset.
        key: it can be decoded without an earlier one.
        frame_counter: as drawn in the identity strip.
        capture_stamp_us: monotonic.
        data: the same as Annex-B bytes, or as a VP8 frame.
        changes: how often the scene has become another one, modulo 2^16.
        begun_us, done_us: monotonic, when its encoding began and ended.
    """

    payloads: tuple[bytes, ...]
    pts_90khz: int
    key: bool
    frame_counter: int
    capture_stamp_us: int
    data: bytes
    changes: int = 0
    begun_us: int = 0
    done_us: int = 0


def packetise(data: bytes, codec: Codec = Codec.H264) -> tuple[bytes, ...]:
    """Return the RTP payloads of an access unit.

    H.264 in packetisation mode 1 (RFC 6184); VP8 without picture ids (RFC 7741, 4.2): a viewer
    that was behind goes on with a key frame, and a gap in the ids would only hold that one up.
    """
    if codec is Codec.VP8:
        return tuple(aiortc.codecs.vpx.Vp8Encoder._packetize(data, cast("int", None)))
    encoder = aiortc.codecs.h264.H264Encoder
    return tuple(encoder._packetize(encoder._split_bitstream(data)))


class SharedStreamTrack(MediaStreamTrack):
    """A video track whose pictures are encoded elsewhere. Subclasses fill in the methods.

    Attributes:
        codec: of its pictures.
    """

    kind = "video"
    codec: Codec

    async def recv(self) -> Any:
        """Return the next access unit to aiortc's sender."""
        _current_track.set(self)
        return await self.next_access_unit()

    @abstractmethod
    async def next_access_unit(self) -> AccessUnit:
        """Return the next access unit; raise MediaStreamError when the stream has ended."""

    @abstractmethod
    def on_rtp_timestamp(self, rtp_timestamp: int) -> None:
        """Take the 32-bit RTP timestamp of the unit just handed out; its packets leave next."""

    @abstractmethod
    def on_key_frame_request(self) -> None:
        """Handle a picture loss or full intra request of this viewer."""

    @abstractmethod
    def on_rate_estimate(self, bit_rate_bps: int) -> None:
        """Take this stream's share of what the viewer thinks its link carries (REMB)."""

    @abstractmethod
    def on_loss(self, share: float) -> None:
        """Take the share of this stream's packets that the viewer's last report misses."""

    @abstractmethod
    def on_missing(self, sequence_numbers: Sequence[int]) -> None:
        """Take the packets that the viewer asks for (NACK)."""

    @abstractmethod
    def may_retransmit(self, sequence_number: int, size_bytes: int, rtp_timestamp: int) -> bool:
        """Return whether a lost packet is worth sending again."""


_current_track: ContextVar[SharedStreamTrack | None] = ContextVar("headframe_track", default=None)
"""The track whose sender task is running: each sender reads its track in a task of its own."""

_ice_addresses: ContextVar[tuple[str, ...] | None] = ContextVar(
    "headframe_agent_ice_addresses", default=None
)


class _PassThroughEncoder(Encoder):
    """Stands where aiortc expects the sender's encoder; the access units are encoded already."""

    def encode(
        self,
        frame: Any,  # noqa: ARG002
        force_keyframe: bool = False,  # noqa: ARG002
    ) -> tuple[list[bytes], int]:
        raise TypeError("a shared stream hands out access units, not pictures")

    def pack(self, packet: Any) -> tuple[list[bytes], int]:
        assert isinstance(packet, AccessUnit)
        return list(packet.payloads), packet.pts_90khz


class PlayoutDelayExtensionsMap(aiortc.rtp.HeaderExtensionsMap):
    """Header extensions with playout-delay 0/0 on every packet, once the viewer agreed to it."""

    def __init__(self) -> None:
        super().__init__()
        self._playout_delay_id: int | None = None

    def configure(self, parameters: RTCRtpParameters) -> None:
        """Take the agreed ids."""
        super().configure(parameters)
        for extension in parameters.headerExtensions:
            if extension.uri == PLAYOUT_DELAY_URI:
                self._playout_delay_id = extension.id

    def set(self, values: aiortc.rtp.HeaderExtensions) -> tuple[int, bytes]:
        """Return profile and bytes of the extension block (RFC 8285)."""
        profile, block = super().set(values)
        if self._playout_delay_id is None:
            return profile, block
        if profile == ONE_BYTE_PROFILE and self._playout_delay_id <= ONE_BYTE_MAX_ID:
            head = bytes([self._playout_delay_id << 4 | len(PLAYOUT_DELAY_ZERO) - 1])
            return profile, head + PLAYOUT_DELAY_ZERO + block
        extensions = aiortc.rtp.unpack_header_extensions(profile, block)
        extensions.append((self._playout_delay_id, PLAYOUT_DELAY_ZERO))
        return aiortc.rtp.pack_header_extensions(extensions)


def _tell_reports(track: SharedStreamTrack, ssrc: int, packet: Any) -> None:
    """Tell a track what a viewer's RTCP packet says of its stream.

    A browser's estimate is for all streams that it names; a stream's share is an equal part.
    """
    if isinstance(packet, RtcpRrPacket | RtcpSrPacket):
        for report in packet.reports:
            if report.ssrc == ssrc:
                track.on_loss(report.fraction_lost / 256)
    elif isinstance(packet, RtcpRtpfbPacket) and packet.fmt == RTCP_RTPFB_NACK:
        track.on_missing(packet.lost)
    elif isinstance(packet, RtcpPsfbPacket) and packet.fmt == RTCP_PSFB_APP:
        with suppress(ValueError):
            bit_rate_bps, ssrcs = unpack_remb_fci(packet.fci)
            if ssrc in ssrcs:
                track.on_rate_estimate(bit_rate_bps // len(ssrcs))


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
    stock_get_encoder: Callable[[RTCRtpCodecParameters], Encoder] = vars(aiortc.rtcrtpsender)[
        "get_encoder"
    ]
    stock_uint32_add: Callable[[int, int], int] = vars(aiortc.rtcrtpsender)["uint32_add"]
    stock_send_keyframe = RTCRtpSender._send_keyframe
    stock_retransmit = RTCRtpSender._retransmit
    stock_handle_rtcp_packet = RTCRtpSender._handle_rtcp_packet
    stock_request = aioice.ice.StunProtocol.request
    stock_get_host_addresses = aioice.ice.get_host_addresses

    def get_encoder(codec: RTCRtpCodecParameters) -> Encoder:
        track = _current_track.get()
        if track is not None:
            return _PassThroughEncoder()
        encoder = stock_get_encoder(codec)
        if isinstance(encoder, aiortc.codecs.opus.OpusEncoder):
            encoder.codec.bit_rate = SOUND_BPS
        return encoder

    def uint32_add(origin: int, timestamp: int) -> int:
        rtp_timestamp = stock_uint32_add(origin, timestamp)
        track = _current_track.get()
        if track is not None:
            track.on_rtp_timestamp(rtp_timestamp)
        return rtp_timestamp

    def send_keyframe(sender: RTCRtpSender) -> None:
        if isinstance(sender.track, SharedStreamTrack):
            sender.track.on_key_frame_request()
        else:
            stock_send_keyframe(sender)

    async def retransmit(sender: RTCRtpSender, sequence_number: int) -> None:
        track = sender.track
        if isinstance(track, SharedStreamTrack):
            history: dict[int, RtpPacket] = vars(sender)["_RTCRtpSender__rtp_history"]
            packet = history.get(sequence_number % RTP_HISTORY_PACKETS)
            if packet is None or packet.sequence_number != sequence_number:
                return
            if not track.may_retransmit(sequence_number, len(packet.payload), packet.timestamp):
                return
        await stock_retransmit(sender, sequence_number)

    async def handle_rtcp_packet(sender: RTCRtpSender, packet: Any) -> None:
        if isinstance(sender.track, SharedStreamTrack):
            _tell_reports(sender.track, sender._ssrc, packet)
        await stock_handle_rtcp_packet(sender, packet)

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
        (aiortc.rtcrtpsender, "get_encoder", get_encoder),
        (aiortc.rtcrtpsender, "uint32_add", uint32_add),
        (aiortc.rtcrtpsender, "RTP_HISTORY_SIZE", RTP_HISTORY_PACKETS),
        (RTCRtpSender, "_send_keyframe", send_keyframe),
        (RTCRtpSender, "_handle_rtcp_packet", handle_rtcp_packet),
        (RTCRtpSender, "_retransmit", retransmit),
        (aiortc.rtp, "HeaderExtensionsMap", PlayoutDelayExtensionsMap),
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
    offered = aiortc.codecs.HEADER_EXTENSIONS["video"]
    if all(extension.uri != PLAYOUT_DELAY_URI for extension in offered):
        offered.append(RTCRtpHeaderExtensionParameters(id=PLAYOUT_DELAY_ID, uri=PLAYOUT_DELAY_URI))


@contextmanager
def ice_addresses(addresses: Sequence[str]) -> Iterator[None]:
    """Offer only `addresses` as ICE hosts in what is awaited inside; none given: every address."""
    token = _ice_addresses.set(tuple(addresses) or None)
    try:
        yield
    finally:
        _ice_addresses.reset(token)


def new_peer_connection(ice_servers: Sequence[IceServer] = ()) -> RTCPeerConnection:
    """Return a peer connection on one transport, with the STUN and TURN servers named only."""
    servers = [RTCIceServer(each.url, each.username, each.secret) for each in ice_servers]
    return RTCPeerConnection(
        RTCConfiguration(iceServers=servers, bundlePolicy=RTCBundlePolicy.MAX_BUNDLE)
    )


def local_address(connection: RTCPeerConnection) -> str | None:
    """Return the own address by which a connection sends; None where it is not connected."""
    for sender in connection.getSenders():
        ice = vars(sender.transport.transport)["_connection"]
        pair = vars(ice)["_nominated"].get(1)
        return None if pair is None else str(pair.local_addr[0])
    return None


async def close(connection: RTCPeerConnection, within_s: float) -> str | None:
    """Close a connection whatever aiortc comes upon; return what went wrong, or None.

    A peer that breaks its DTLS session makes closing raise OpenSSL's errors, which aiortc does not
    expect. The sockets are closed by themselves then. What was sent is let go of at once: up to
    1.2 MB a stream would stay until the next full garbage collection.
    """
    senders = connection.getSenders()
    try:
        async with asyncio.timeout(within_s):
            await connection.close()
    except TimeoutError:
        return f"not closed within {within_s:g} s"
    except Exception as error:
        await _close_sockets(connection, within_s)
        return str(error) or type(error).__name__
    finally:
        for sender in senders:
            vars(sender)["_RTCRtpSender__rtp_history"].clear()
    return None


async def _close_sockets(connection: RTCPeerConnection, within_s: float) -> None:
    ends = [*(connection.getSenders()), connection.sctp]
    secured = {end.transport for end in ends if end is not None and end.transport is not None}
    for transport in {each.transport for each in secured}:
        with suppress(Exception):
            async with asyncio.timeout(within_s):
                await transport.stop()


def only(codec: Codec) -> list[RTCRtpCodecCapability]:
    """Return the codec preferences that leave one codec and its retransmission."""
    codecs = RTCRtpSender.getCapabilities("video").codecs
    return [each for each in codecs if each.name.upper() in (codec, "RTX")]


def offered_codec(sdp: str) -> Codec | None:
    """Return the codec to use of those that every video section of an offer has; None for none.

    Raises:
        ValueError: it is not a description.
    """
    sections = [media for media in _parsed(sdp).media if media.kind == "video"]
    names = [{codec.name.upper() for codec in media.rtp.codecs} for media in sections]
    return next((codec for codec in Codec if all(codec in each for each in names)), None)


def without_mdns_candidates(sdp: str) -> str:
    """Drop candidates that hide their address behind a `.local` name.

    Resolving them needs multicast DNS. The browser sends the first check anyway, and its address
    is learnt from that.
    """
    kept = [line for line in sdp.splitlines() if not _is_mdns_candidate(line)]
    return "\r\n".join(kept) + "\r\n"


def _is_mdns_candidate(line: str) -> bool:
    fields = line.split()
    return line.startswith("a=candidate:") and len(fields) > 4 and fields[4].endswith(".local")


def section_kinds(sdp: str) -> list[str]:
    """Return the kinds of a description's sections in order: video, audio, application.

    Raises:
        ValueError: it is not a description.
    """
    return [media.kind for media in _parsed(sdp).media]


def _parsed(sdp: str) -> aiortc.sdp.SessionDescription:
    try:
        return aiortc.sdp.SessionDescription.parse(sdp)
    except (AssertionError, AttributeError, IndexError, KeyError, TypeError) as error:
        raise ValueError(f"not a session description: {error}") from error
