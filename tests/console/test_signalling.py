"""Session descriptions: signed out, proven in, each session once."""

from __future__ import annotations

import pytest

from operator_console.shell.signalling import Signalling
from protocol.errors import Refusal
from protocol.messages import Role, SignalClaims
from tests.console.fakes import OPERATOR, TOPICS, VEHICLE, FakeVehicle, identity


@pytest.fixture
def vehicle() -> FakeVehicle:
    return FakeVehicle()


@pytest.fixture
def signalling(vehicle: FakeVehicle) -> Signalling:
    return Signalling(OPERATOR, TOPICS, vehicle.operator_key, vehicle.trust)


def offered(signalling: Signalling, vehicle: FakeVehicle, page: int = 3) -> SignalClaims:
    message = signalling.offer(page, "o-1", "v=0 offer", [0])
    assert message is not None
    return vehicle.signal(message)


def test_offer__goes_out_signed_with_a_fresh_session(
    signalling: Signalling, vehicle: FakeVehicle
) -> None:
    first, second = offered(signalling, vehicle), offered(signalling, vehicle)

    assert (first.iss, first.aud, first.role, first.sdp) == (
        OPERATOR,
        VEHICLE,
        "offer",
        "v=0 offer",
    )
    assert first.cameras == (0,)
    assert first.session != second.session


def test_offers_of_two_pages__name_each_its_own_screen(
    signalling: Signalling, vehicle: FakeVehicle
) -> None:
    screens = [offered(signalling, vehicle, page).viewer for page in (3, 4, 3)]

    assert screens == ["page-3", "page-4", "page-3"]


def test_offer_of_a_standby__says_so_for_the_same_screen_and_no_other_offer_speaks_of_it(
    signalling: Signalling, vehicle: FakeVehicle
) -> None:
    message = signalling.offer(3, "o-2", "v=0 offer", [0], standby=True)
    assert message is not None
    claims = vehicle.signal(message)

    assert (claims.standby, claims.viewer) == (True, "page-3")
    assert "standby" not in offered(signalling, vehicle).model_dump_json()


def test_answer__goes_to_the_page_that_asked(signalling: Signalling, vehicle: FakeVehicle) -> None:
    answered = signalling.take(vehicle.signal_answer(offered(signalling, vehicle)))

    assert answered is not None
    assert (answered.page, answered.offer_id, answered.sdp) == (3, "o-1", "v=0 answer")


def test_answer_twice__second_is_a_replay(signalling: Signalling, vehicle: FakeVehicle) -> None:
    answer = vehicle.signal_answer(offered(signalling, vehicle))
    signalling.take(answer)

    assert signalling.take(answer) is None
    assert signalling.refused[Refusal.REPLAYED] == 1


def test_answer_of_a_session_never_begun__is_refused(
    signalling: Signalling, vehicle: FakeVehicle
) -> None:
    offer = offered(signalling, vehicle)

    assert signalling.take(vehicle.signal_answer(offer, session="0" * 32)) is None


def test_answer_for_another_operator__is_refused(
    signalling: Signalling, vehicle: FakeVehicle
) -> None:
    offer = offered(signalling, vehicle)

    assert signalling.take(vehicle.signal_answer(offer, aud="op-2")) is None
    assert signalling.refused[Refusal.WRONG_AUDIENCE] == 1


def test_answer_with_a_wrong_key__is_refused(signalling: Signalling, vehicle: FakeVehicle) -> None:
    offer = offered(signalling, vehicle)
    vehicle.key, _ = identity(VEHICLE, Role.VEHICLE)

    assert signalling.take(vehicle.signal_answer(offer)) is None
    assert signalling.refused[Refusal.BAD_SIGNATURE] == 1


def test_own_offer_heard_back__is_ignored(signalling: Signalling) -> None:
    message = signalling.offer(3, "o-1", "v=0 offer", [0])
    assert message is not None

    assert signalling.take(message.payload) is None
    assert not signalling.refused


@pytest.mark.parametrize("cameras", [[-1], [256]])
def test_offer_for_no_possible_camera__is_refused(
    signalling: Signalling, cameras: list[int]
) -> None:
    assert signalling.offer(3, "o-1", "v=0", cameras) is None


def test_page_gone__each_of_its_sessions_ends_with_a_bye(
    signalling: Signalling, vehicle: FakeVehicle
) -> None:
    own = {offered(signalling, vehicle).session, offered(signalling, vehicle).session}
    offered(signalling, vehicle, page=4)

    farewells = [vehicle.signal(message) for message in signalling.bye(3)]

    assert {claims.session for claims in farewells} == own
    assert all(claims.role == "bye" for claims in farewells)


def test_vehicle_says_bye__a_late_answer_is_refused(
    signalling: Signalling, vehicle: FakeVehicle
) -> None:
    offer = offered(signalling, vehicle)
    signalling.take(vehicle.signal_answer(offer, role="bye", sdp=""))

    assert signalling.take(vehicle.signal_answer(offer)) is None
