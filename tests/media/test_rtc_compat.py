"""The machine's changes to aiortc: they fail loudly when it changed, and do what they say."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Sequence
from types import ModuleType

import aioice.ice
import aiortc.rtcrtpsender
import pytest
from aiortc.mediastreams import MediaStreamError
from aiortc.rtcrtpparameters import RTCRtpHeaderExtensionParameters, RTCRtpSendParameters
from aiortc.rtp import (
    RTCP_PSFB_APP,
    RTCP_RTPFB_NACK,
    HeaderExtensions,
    RtcpPsfbPacket,
    RtcpReceiverInfo,
    RtcpRrPacket,
    RtcpRtpfbPacket,
    RtpPacket,
    pack_remb_fci,
    unpack_header_extensions,
)
from pydantic import ValidationError

from operator_console.shell import rtc_receive
from protocol.ice_settings import IceServer
from tests.media.rig import LOOPBACK
from vehicle_agent.shell import rtc_compat
from vehicle_agent.shell.rtc_compat import (
    PLAYOUT_DELAY_URI,
    AccessUnit,
    PlayoutDelayExtensionsMap,
    SharedStreamTrack,
)

BOTH = pytest.mark.parametrize("compat", [rtc_compat, rtc_receive], ids=["agent", "console"])


def configured(playout_delay_id: int | None) -> PlayoutDelayExtensionsMap:
    extensions = [
        RTCRtpHeaderExtensionParameters(id=1, uri="urn:ietf:params:rtp-hdrext:sdes:mid"),
        RTCRtpHeaderExtensionParameters(
            id=3, uri="http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"
        ),
    ]
    if playout_delay_id is not None:
        extensions.append(
            RTCRtpHeaderExtensionParameters(id=playout_delay_id, uri=PLAYOUT_DELAY_URI)
        )
    made = PlayoutDelayExtensionsMap()
    made.configure(RTCRtpSendParameters(headerExtensions=extensions))
    return made


CONSENT_CHECK = """
import asyncio, aioice.ice
import {module} as compat
async def request(*words):
    print(words[-1])
aioice.ice.StunProtocol.request = request
compat.install()
for tries in (0, 7, None):
    asyncio.run(aioice.ice.StunProtocol.request(None, None, None, None, tries))
"""
"""In a process of its own, with a transport that says how often it would repeat a request."""


@BOTH
def test_installed_aiortc__has_every_seam(compat: ModuleType) -> None:
    """In a process of its own: here the changes may have been made already."""
    command = [sys.executable, "-c", f"import {compat.__name__}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == ""
    assert done.returncode == 0


@BOTH
@pytest.mark.parametrize("package", ["aiortc", "aioice"])
def test_another_release_series__fails_and_names_both(compat: ModuleType, package: str) -> None:
    def versions(name: str) -> str:
        return "9.9.9" if name == package else {"aiortc": "1.16.0", "aioice": "0.13.0"}[name]

    with pytest.raises(compat.AiortcChanged, match=rf"{package} .* is needed, 9\.9\.9"):
        compat.check_seams(versions=versions)


@BOTH
def test_each_name_taken_away__fails_and_names_it(compat: ModuleType) -> None:
    for seam in compat.SEAMS:
        missing = compat.Seam(seam.owner, f"{seam.name}_renamed", seam.lines)
        with pytest.raises(compat.AiortcChanged, match=f"{seam.name}_renamed is gone"):
            compat.check_seams([missing])


@BOTH
def test_each_line_changed__fails_and_shows_it(compat: ModuleType) -> None:
    for seam in compat.SEAMS:
        for line in seam.lines:
            changed = compat.Seam(seam.owner, seam.name, (line + " # changed",))
            with pytest.raises(compat.AiortcChanged, match="no longer has the line"):
                compat.check_seams([changed])


def test_playout_delay_agreed__these_bytes_are_on_the_wire() -> None:
    profile, block = configured(4).set(HeaderExtensions(mid="0", abs_send_time=0x123456))
    assert profile == 0xBEDE
    assert block.hex() == "42000000" + "1030" + "32123456" + "0000"


def test_playout_delay_agreed__the_whole_packet_carries_it() -> None:
    packet = RtpPacket(payload_type=99, sequence_number=1, timestamp=2, marker=1)
    packet.ssrc = 3
    packet.payload = b"\x41\x9a"
    packet.extensions = HeaderExtensions(mid="0", abs_send_time=0x123456)
    assert packet.serialize(configured(5)).hex() == (
        "90e30001" + "00000002" + "00000003" + "bede0003" + "52000000" + "1030321234560000" + "419a"
    )


def test_playout_delay_not_agreed__nothing_is_added() -> None:
    profile, block = configured(None).set(HeaderExtensions(mid="0", abs_send_time=0x123456))
    assert profile == 0xBEDE
    assert block.hex() == "1030" + "32123456" + "0000"


def test_playout_delay_with_a_large_id__the_two_byte_form_is_used() -> None:
    profile, block = configured(20).set(HeaderExtensions(mid="0"))
    assert profile == 0x1000
    assert (20, bytes(3)) in unpack_header_extensions(profile, block)


def test_installed_twice__the_changes_are_made_once() -> None:
    rtc_compat.install()
    first = vars(aiortc.rtcrtpsender)["get_encoder"]
    rtc_compat.install()
    assert vars(aiortc.rtcrtpsender)["get_encoder"] is first
    assert vars(aiortc.rtcrtpsender)["RTP_HISTORY_SIZE"] == rtc_compat.RTP_HISTORY_PACKETS
    assert aioice.ice.CONSENT_INTERVAL == rtc_compat.CONSENT_INTERVAL_S
    offered = [extension.uri for extension in aiortc.codecs.HEADER_EXTENSIONS["video"]]
    assert offered.count(PLAYOUT_DELAY_URI) == 1


@BOTH
async def test_ice_addresses_given__only_these_are_offered(compat: ModuleType) -> None:
    compat.install()
    connection = compat.new_peer_connection()
    connection.addTransceiver("video", direction="recvonly")
    async with asyncio.timeout(10):
        with compat.ice_addresses(LOOPBACK):
            await connection.setLocalDescription(await connection.createOffer())
        sdp = connection.localDescription.sdp
        await connection.close()
    candidates = [line.split() for line in sdp.splitlines() if line.startswith("a=candidate:")]
    assert {(fields[4], fields[7]) for fields in candidates} == {("127.0.0.1", "host")}


class ToldTrack(SharedStreamTrack):
    """Notes what it is told of its viewer's reports."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[float] = []

    async def next_access_unit(self) -> AccessUnit:
        raise MediaStreamError

    def on_rtp_timestamp(self, rtp_timestamp: int) -> None:
        raise AssertionError

    def on_key_frame_request(self) -> None:
        raise AssertionError

    def on_rate_estimate(self, bit_rate_bps: int) -> None:
        self.told.append(bit_rate_bps)

    def on_loss(self, share: float) -> None:
        self.told.append(share)

    def on_missing(self, sequence_numbers: Sequence[int]) -> None:
        self.told += sequence_numbers

    def may_retransmit(self, sequence_number: int, size_bytes: int, rtp_timestamp: int) -> bool:
        raise AssertionError


def remb(bit_rate_bps: int, ssrcs: list[int]) -> RtcpPsfbPacket:
    fci = pack_remb_fci(bit_rate_bps, ssrcs)
    return RtcpPsfbPacket(fmt=RTCP_PSFB_APP, ssrc=1, media_ssrc=0, fci=fci)


def lost(ssrc: int, fraction_256: int) -> RtcpRrPacket:
    report = RtcpReceiverInfo(
        ssrc=ssrc,
        fraction_lost=fraction_256,
        packets_lost=1,
        highest_sequence=9,
        jitter=0,
        lsr=0,
        dlsr=0,
    )
    return RtcpRrPacket(ssrc=1, reports=[report])


@pytest.mark.parametrize(
    ("packet", "told"),
    [
        (remb(800_000, [77]), [800_000]),
        (remb(800_000, [5, 77, 6, 7]), [200_000]),
        (remb(800_000, [5]), []),
        (lost(77, 64), [0.25]),
        (lost(5, 64), []),
        (RtcpRtpfbPacket(fmt=RTCP_RTPFB_NACK, ssrc=1, media_ssrc=77, lost=[8, 9]), [8, 9]),
    ],
    ids=[
        "own estimate",
        "estimate for four",
        "another's estimate",
        "loss",
        "another's loss",
        "missing",
    ],
)
async def test_viewers_report__the_track_is_told_its_part(
    packet: RtcpPsfbPacket | RtcpRrPacket | RtcpRtpfbPacket, told: list[float]
) -> None:
    track = ToldTrack()
    rtc_compat._tell_reports(track, 77, packet)
    assert track.told == told


@BOTH
def test_consent_check__is_repeated_once_so_that_a_long_round_trip_does_not_end_the_peer(
    compat: ModuleType,
) -> None:
    command = [sys.executable, "-c", CONSENT_CHECK.format(module=compat.__name__)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["1", "7", "None"]


def test_mdns_candidates__are_dropped_and_the_rest_kept() -> None:
    kept = ["v=0", "a=candidate:1 1 udp 2113937151 192.0.2.1 5000 typ host", "a=mid:0"]
    hidden = "a=candidate:2 1 udp 2113937151 fe52576d-19f2-4aa0-ae68-e38a0293465c.local 6 typ host"
    sdp = "\r\n".join([kept[0], hidden, *kept[1:]]) + "\r\n"
    assert rtc_compat.without_mdns_candidates(sdp) == "\r\n".join(kept) + "\r\n"


@pytest.mark.parametrize(
    "text",
    ["m=video", "v=0\r\nm=video 9 X x\r\n", "v=0\r\nm=video 9 X 96\r\na=rtpmap:96\r\n"],
)
def test_text_that_is_no_description__is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"not a session|invalid literal|not enough"):
        rtc_compat.section_kinds(text)


def test_no_server_set__none_is_used() -> None:
    configuration = vars(rtc_compat.new_peer_connection())["_RTCPeerConnection__configuration"]
    assert configuration.iceServers == []


def test_turn_server_set__it_is_used_with_its_password() -> None:
    server = IceServer.model_validate_json(
        '{"url": "turn:10.0.0.1:3478", "username": "u", "password": "p"}'
    )
    connection = rtc_compat.new_peer_connection([server])
    (used,) = vars(connection)["_RTCPeerConnection__configuration"].iceServers
    assert (used.urls, used.username, used.credential) == ("turn:10.0.0.1:3478", "u", "p")


@pytest.mark.parametrize("url", ["", "turn:", "http://a", "turn:a b", "turn:user@host", "stun://a"])
def test_address_that_is_none_of_a_server__is_refused(url: str) -> None:
    with pytest.raises(ValidationError):
        IceServer(url=url)
