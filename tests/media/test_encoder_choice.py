"""An encoder in hardware is used only after its test; x264 otherwise, and the reason is said."""

from __future__ import annotations

import sys

import pytest

from vehicle_agent.shell import encoder_choice
from vehicle_agent.shell.encoder_choice import (
    CANDIDATES,
    Choice,
    choose,
    self_test,
    self_test_apart,
)
from vehicle_agent.shell.framebuffer import Picture
from vehicle_agent.shell.h264 import OPTIONS, SOFTWARE, H264Encoder
from vehicle_agent.shell.picture_encoder import EncodedPicture


def test_software_is_wanted__nothing_is_tested() -> None:
    assert choose(SOFTWARE, lambda _: pytest.fail("tested")) == Choice(SOFTWARE, {})


def test_one_candidate_passes__it_is_used_and_those_before_it_are_named() -> None:
    wrong = dict.fromkeys(CANDIDATES, "no such device") | {"h264_v4l2m2m": ""}
    assert choose("auto", wrong.__getitem__) == Choice(
        "h264_v4l2m2m", {"h264_nvenc": "no such device", "h264_qsv": "no such device"}
    )


def test_none_passes__x264_is_used_and_every_reason_is_said() -> None:
    assert choose("auto", lambda codec: f"no {codec}") == Choice(
        SOFTWARE, {codec: f"no {codec}" for codec in CANDIDATES}
    )


def test_named_encoder_fails__no_other_one_is_tried() -> None:
    assert choose("h264_qsv", lambda _: "no") == Choice(SOFTWARE, {"h264_qsv": "no"})


def test_every_candidate__has_its_options() -> None:
    assert set(OPTIONS) == {SOFTWARE, *CANDIDATES}


def test_x264__passes_the_test_that_the_others_must_pass() -> None:
    assert self_test(SOFTWARE) == ""


def test_encoder_that_is_not_there__is_refused_in_one_line() -> None:
    assert "\n" not in self_test("h264_vaapi")
    assert self_test("h264_vaapi") != ""


class KeyFrameOnRateChange(H264Encoder):
    """Does what many drivers do: a new rate begins with a key frame."""

    def encode(self, i420: Picture, stamp_us: int) -> EncodedPicture:
        if self.bit_rate_bps != encoder_choice.HIGH_BPS and self.key_frames == 1:
            self.request_key_frame()
        return super().encode(i420, stamp_us)


class DeafToRate(H264Encoder):
    """Keeps the rate that it was opened with."""

    @property
    def bit_rate_bps(self) -> int:
        return self._bit_rate_bps

    @bit_rate_bps.setter
    def bit_rate_bps(self, value_bps: int) -> None:
        """Hear nothing."""


class OtherPicture(H264Encoder):
    """Loses the upper rows."""

    def encode(self, i420: Picture, stamp_us: int) -> EncodedPicture:
        i420 = i420.copy()
        i420[16:] = 128
        return super().encode(i420, stamp_us)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (KeyFrameOnRateChange, "a change of its rate makes a key frame"),
        (DeafToRate, "told 500000 bit/s while open"),
        (OtherPicture, "differs by"),
    ],
)
def test_encoder_with_a_fault__is_refused_for_it(
    monkeypatch: pytest.MonkeyPatch, kind: type[H264Encoder], reason: str
) -> None:
    monkeypatch.setattr(encoder_choice, "H264Encoder", kind)
    assert reason in self_test(SOFTWARE)


def test_test_that_ends_without_a_word__is_no_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    assert self_test_apart("h264_nvenc") == "its test ended with code 1"


def test_x264_in_a_process_of_its_own__passes() -> None:
    assert self_test_apart(SOFTWARE) == ""
