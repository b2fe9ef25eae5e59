"""The agent's camera on real V4L2: ``vivid``, a driver that makes pictures as a webcam would."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

from hil.kernel import camera
from hil.kernel.lab import load

VIVID = "vivid n_devs=1 input_types=0"
"""One device with one input, a webcam (kernel documentation, admin-guide/media/vivid)."""
OUT_VARIABLE = "HEADFRAME_LAB_OUT"


def test_vivid__thirty_pictures_whole_in_order_and_numbered() -> None:
    load(VIVID)
    out = Path(os.environ[OUT_VARIABLE])
    pictures, ages_us, counts = asyncio.run(camera.take(camera.PICTURES))
    found = camera.report(pictures, ages_us, camera.show(pictures, out)) | counts
    (out / "camera.json").write_text(json.dumps(found), encoding="utf-8")

    assert found["numbers_read"] == camera.PICTURES
    assert found["gap_min_ms"] > 0
    assert not found["trouble"]
