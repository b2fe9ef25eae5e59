"""The change to PyAV fails loudly when PyAV is another, and touches nothing but codec contexts."""

from __future__ import annotations

import av
import pytest

from vehicle_agent.shell.av_compat import PyAvChanged, check_series, set_rate_limits


def test_another_series__fails_and_names_both() -> None:
    with pytest.raises(PyAvChanged, match=r"av 18\.x is needed, 19\.0\.1"):
        check_series("19.0.1")


def test_object_that_holds_no_codec_context__is_not_touched() -> None:
    frame = av.VideoFrame(16, 16, "yuv420p")
    with pytest.raises(PyAvChanged, match="no codec context"):
        set_rate_limits(frame, 1, 1)  # type: ignore[arg-type]
