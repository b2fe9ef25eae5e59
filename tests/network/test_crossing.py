"""A machine's whole session over one link: MQTT, and every peer that is offered there."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Literal

import pytest

from protocol.frames import StateFrame
from protocol.messages import SignalClaims, load_trust, sign_claims, verify_signed
from protocol.state import VehicleMode, VehicleState
from protocol.topics import Topics
from sim.demo import OPERATORS, SITE_ID, VEHICLE_ID, write_keys
from sim.network.crossing import DEAD_AFTER_NS, Crossing
from sim.network.detour import Detour, load_detour
from sim.network.files import find_link
from sim.network.model import LinkModel, Verdict
from sim.network.mqtt import PacketCutter, Publish, parse_publish
from sim.network.parameters import DirectionParameters, GapMode, Gaps, LinkParameters
from sim.network.stream_model import FLOOR_NS, StreamModel
from tests.network.test_relays import WAIT_S, arrived, step, until_read

MS = 1_000_000
HOST = "127.0.0.1"
TOPICS = Topics(SITE_ID, VEHICLE_ID)
SDP = (
    "v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 102\r\n"
    "a=candidate:1 1 udp 2130706431 127.0.0.1 {port} typ host\r\n"
    "a=candidate:2 1 udp 2130706431 10.0.0.7 {port} typ host\r\n"
    "a=end-of-candidates\r\n"
    "a=fingerprint:sha-256 AA\r\n"
)


def publish(topic: str, payload: bytes, qos: int = 0) -> bytes:
    """A PUBLISH packet of MQTT 3.1.1."""
    name = topic.encode()
    identified = len(name).to_bytes(2, "big") + name + (b"\x00\x07" if qos else b"")
    return Publish(0x30 | qos << 1, topic, identified, b"").packet(payload)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 10_000])
def test_packets__are_cut_whatever_the_pieces(size: int) -> None:
    packets = [b"\xc0\x00", publish("a/b", b"x" * 300, qos=1), b"\x40\x02\x00\x07"]
    stream, cutter = b"".join(packets), PacketCutter()
    pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
    assert [packet for piece in pieces for packet in cutter.feed(piece)] == packets


@pytest.mark.parametrize("qos", [0, 1])
@pytest.mark.parametrize("length", [0, 1, 200, 20_000])
def test_payload_replaced__topic_and_packet_id_stay(qos: int, length: int) -> None:
    parsed = parse_publish(publish("site/signal/me", b"old", qos))
    assert parsed is not None
    (cut,) = PacketCutter().feed(parsed.packet(b"n" * length))
    again = parse_publish(cut)
    assert again is not None
    assert (again.topic, again.identified) == ("site/signal/me", parsed.identified)
    assert again.payload == b"n" * length


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    write_keys(tmp_path)
    return tmp_path


@pytest.fixture
def detour(keys: Path) -> Detour:
    return load_detour(keys)


def signed(
    detour: Detour,
    who: str,
    role: Literal["offer", "answer"],
    port: int,
    peer: Literal["control", "media"] = "control",
) -> bytes:
    claims = SignalClaims(
        iss=who,
        aud=VEHICLE_ID if who == OPERATORS[0] else OPERATORS[0],
        role=role,
        peer=peer,
        session="0" * 32,
        sdp=SDP.format(port=port),
    )
    return sign_claims(claims, detour._keys[who])


def sdp_of(token: bytes, keys: Path) -> list[str]:
    claims = verify_signed(token, load_trust((keys / "trust.json").read_text(encoding="utf-8")))
    assert isinstance(claims, SignalClaims)
    return claims.sdp.splitlines()


def test_offer__loses_its_addresses_and_stays_signed(detour: Detour, keys: Path) -> None:
    led = detour.lead(signed(detour, OPERATORS[0], "offer", 5000), lambda port, _peer: port)
    assert sdp_of(led, keys) == [
        "v=0",
        "m=video 9 UDP/TLS/RTP/SAVPF 102",
        "a=fingerprint:sha-256 AA",
    ]


def test_answer__has_the_relay_for_its_address_and_no_other(detour: Detour, keys: Path) -> None:
    led = detour.lead(signed(detour, VEHICLE_ID, "answer", 5000), lambda port, _peer: port + 1)
    assert [line for line in sdp_of(led, keys) if line.startswith("a=candidate")] == [
        "a=candidate:1 1 udp 2130706431 127.0.0.1 5001 typ host"
    ]


def test_description_of_a_stranger__is_passed_on_as_it_is(
    detour: Detour, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    write_keys(elsewhere)
    forged = signed(load_detour(elsewhere), OPERATORS[0], "offer", 5000)
    assert detour.lead(forged, lambda port, _peer: port) == forged


class Session:
    """A machine, a broker and the link between them, under a clock that the tests move."""

    def __init__(self, link: LinkParameters, detour: Detour) -> None:
        self._broker = socket.create_server((HOST, 0))
        port = self._broker.getsockname()[1]
        self.crossing = Crossing(link, 1, port, detour, 0)
        self.machine = socket.create_connection((HOST, self.crossing.port))
        until_read(self.crossing, 0)
        self.cockpit, _ = self._broker.accept()
        for end in (self.machine, self.cockpit):
            end.settimeout(WAIT_S)

    def up(self, packet: bytes, now_ns: int) -> None:
        """Let the machine publish."""
        self.machine.sendall(packet)
        until_read(self.crossing, now_ns)

    def close(self) -> None:
        self.crossing.close()
        for each in (self._broker, self.machine, self.cockpit):
            each.close()


@pytest.fixture
def late(detour: Detour) -> Iterator[Session]:
    """A link of 20 ms each way."""
    way = DirectionParameters(delay_ns=20 * MS)
    with closing(Session(LinkParameters("late", "late", way, way), detour)) as session:
        yield session


def test_mqtt__waits_for_the_delay_of_its_direction(late: Session) -> None:
    late.up(publish(TOPICS.event, b"hello"), 0)
    late.crossing.release(20 * MS - 1)
    early = arrived(late.cockpit)
    late.crossing.release(20 * MS)
    assert (early, late.cockpit.recv(1000)) == (False, publish(TOPICS.event, b"hello"))


def test_peer_that_answers__is_reached_over_the_link_only(
    late: Session, detour: Detour, keys: Path
) -> None:
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as peer:
        peer.bind((HOST, 0))
        peer.settimeout(WAIT_S)
        answer = signed(detour, VEHICLE_ID, "answer", peer.getsockname()[1])
        late.up(publish(TOPICS.signal(OPERATORS[0]), answer, qos=1), 0)
        late.crossing.release(20 * MS)
        told = parse_publish(late.cockpit.recv(10_000))
        assert told is not None
        (candidate,) = (
            line for line in sdp_of(told.payload, keys) if line.startswith("a=candidate")
        )
        with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as page:
            page.settimeout(WAIT_S)
            page.sendto(b"check", (HOST, int(candidate.split()[5])))
            until_read(late.crossing, 30 * MS)
            late.crossing.release(50 * MS - 1)
            early = arrived(peer)
            late.crossing.release(50 * MS)
            data, back = peer.recvfrom(100)
            peer.sendto(b"answer", back)
            until_read(late.crossing, 60 * MS)
            late.crossing.release(80 * MS)
            assert (early, data, page.recv(100)) == (False, b"check", b"answer")
    figures = late.crossing.figures()
    assert figures["peers"] == 1
    assert figures["down"]["webrtc"]["packets"] == figures["up"]["webrtc"]["packets"] == 1
    assert figures["up"]["mqtt"]["delay_ms"]["max"] == 20.0


def state(mode: VehicleMode) -> bytes:
    """A state frame that a machine of that mode publishes."""
    told = VehicleState(mode=mode).to_json()
    frame = StateFrame(
        leased=False,
        vehicle_id=1,
        key_id=0,
        epoch=0,
        sequence=1,
        boot_tag=1,
        stamp_us=1,
        json=told,
    )
    return publish(TOPICS.state, frame.encode(None))


def test_dead_link__dies_only_after_the_machine_was_driven(detour: Detour) -> None:
    with closing(Session(find_link("dead"), detour)) as session:
        session.up(state(VehicleMode.STANDBY), 0)
        session.crossing.release(2 * DEAD_AFTER_NS)
        before = session.crossing.figures()["dead"]
        session.up(state(VehicleMode.ACTIVE), 2 * DEAD_AFTER_NS)
        session.crossing.release(3 * DEAD_AFTER_NS)
        session.machine.sendall(b"\xc0\x00")
        step(session.crossing, 3 * DEAD_AFTER_NS)
        after = session.crossing.figures()["dead"]
    assert (before, after) == (False, True)


def stream(parameters: DirectionParameters) -> StreamModel:
    return StreamModel(LinkModel(parameters, 1), parameters, 40 * MS, 1, "", 0)


def test_stream_over_a_gap__all_waits_and_comes_out_together_after_it() -> None:
    gaps = Gaps(1.0, 0.0, 0.5, 0.5, GapMode.LOSE)
    model = stream(DirectionParameters(gaps=gaps))
    one, two = model.decide(1100 * MS, 100), model.decide(1120 * MS, 100)
    assert one.verdict is Verdict.REPEATED
    assert one.deliveries[0] > 1500 * MS
    assert two.deliveries == one.deliveries


def test_segment_lost__comes_a_round_trip_and_the_floor_later_and_holds_up_the_next() -> None:
    model = stream(DirectionParameters(loss=0.2))
    decisions = [model.decide(number * 10 * MS, 100) for number in range(1000)]
    once = [
        due - at * 10 * MS
        for at, decision in enumerate(decisions)
        for due in decision.deliveries
        if decision.verdict is Verdict.REPEATED
    ]
    order = [decision.deliveries[0] for decision in decisions]
    assert min(once) == 40 * MS + FLOOR_NS
    assert order == sorted(order)


def test_stream__shares_the_rate_with_datagrams() -> None:
    parameters = DirectionParameters(rate_bps=1e6)
    datagrams = LinkModel(parameters, 1)
    model = StreamModel(datagrams, parameters, 0, 1, "", 0)
    datagrams.decide(0, 12_500)
    assert model.decide(0, 125).deliveries == (101 * MS,)


def test_mqtt_cut__is_carried_once_mended(late: Session) -> None:
    late.crossing.obey("cut mqtt")
    late.machine.sendall(publish(TOPICS.event, b"hello"))
    unread = late.crossing.readers()
    late.crossing.obey("mend mqtt")
    until_read(late.crossing, 0)
    late.crossing.release(20 * MS)
    assert (len(unread), late.cockpit.recv(1000)) == (1, publish(TOPICS.event, b"hello"))


@pytest.mark.parametrize(("peer", "verdict"), [("control", "in_gap"), ("media", "carried")])
def test_control_cut__loses_what_the_control_peer_sends_and_nothing_else(
    late: Session, detour: Detour, keys: Path, peer: Literal["control", "media"], verdict: str
) -> None:
    late.up(
        publish(TOPICS.signal(OPERATORS[0]), signed(detour, VEHICLE_ID, "answer", 5000, peer)), 0
    )
    late.crossing.release(20 * MS)
    told = parse_publish(late.cockpit.recv(10_000))
    assert told is not None
    (candidate,) = (line for line in sdp_of(told.payload, keys) if line.startswith("a=candidate"))
    late.crossing.obey("cut control")
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as page:
        page.sendto(b"check", (HOST, int(candidate.split()[5])))
        until_read(late.crossing, 30 * MS)
    assert late.crossing.figures()["down"]["webrtc"][verdict] == 1


@pytest.mark.parametrize("order", ["cut video", "sever mqtt", "cut", ""])
def test_order_that_is_none__is_refused(late: Session, order: str) -> None:
    with pytest.raises(ValueError, match="no order for a crossing"):
        late.crossing.obey(order)


def test_orders__are_heard_at_their_socket(detour: Detour, tmp_path: Path) -> None:
    link = LinkParameters("clear", "clear", DirectionParameters(), DirectionParameters())
    with (
        closing(Crossing(link, 1, 1, detour, 0, orders=tmp_path / "orders")) as crossing,
        closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as sender,
    ):
        sender.sendto(b"cut video", str(tmp_path / "orders"))
        with pytest.raises(ValueError, match="cut video"):
            crossing.read(0, crossing.readers()[0])
