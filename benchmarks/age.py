"""The picture age on the driver's screen against the truth, over links with added delay.

    python -m benchmarks.age [--json] [--quick]

The demo's programs, its page in Chromium, and a delay between them: on the whole link (sim/network)
or on the video's path alone. Each time that the page writes a new age, the truth is this computer's
clock less the capture stamp of the picture on the screen then, whose number is read from its strip
here once more. The samples are the differences, as amounts, of the links whose delays are the same
both ways, or that leave one path quick. Of a link that is slower one way on every path no exchange
of messages tells by how much (RFC 5905, 8): those rows stand in the notes, with what the page says
of its own doubt.
"""

from __future__ import annotations

import asyncio
import json
import re
import signal
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.async_api import Page, async_playwright

from benchmarks.chains.browser import CHROMIUM, FLAGS, STRIP, clock_offset_us
from benchmarks.chains.relay import Impairment, Line
from benchmarks.common import Measurement, percentiles, run

SECONDS, QUICK_S = 12.0, 3.0
SETTLES_S = 3.0
DRIVABLE_MS = 400
READY_WITHIN_MS = 40_000
GRACE_S = 10.0
HELD_MS, KNOWN_SHARE = 30.0, 0.9
WATCH = Path(__file__).parent / "chains" / "age.js"


@dataclass(frozen=True, slots=True)
class Way:
    """Delays added, in ms.

    Attributes:
        to_machine_ms, to_cockpit_ms: one way each; the picture takes the second.
        video_only: commands, states and set-up pass without.
        counts: its figures are samples.
    """

    to_machine_ms: int
    to_cockpit_ms: int
    video_only: bool = False
    counts: bool = True

    @property
    def drivable(self) -> bool:
        """The machine refuses commands whose echo is older than 450 ms: no lease then."""
        return self.video_only or self.to_machine_ms + self.to_cockpit_ms < DRIVABLE_MS

    def __str__(self) -> str:
        part = "video only" if self.video_only else "whole link"
        return f"{part}, to machine +{self.to_machine_ms}, to cockpit +{self.to_cockpit_ms}"


WAYS = (
    Way(0, 0),
    Way(100, 100),
    Way(300, 300),
    Way(100, 100, video_only=True),
    Way(300, 300, video_only=True),
    Way(0, 300, video_only=True),
    Way(0, 100, counts=False),
    Way(0, 300, counts=False),
)
QUICK_WAYS = (Way(100, 100), Way(0, 300, video_only=True))


@dataclass(frozen=True, slots=True)
class Ride:
    """One way's results: shown less true age in ms, and what the page said of its doubt, in ms."""

    errors_ms: list[float]
    within_ms: str


async def ride(way: Way, seconds: float) -> Ride:
    """Return what the page showed, over a link of that delay."""
    with tempfile.TemporaryDirectory() as folder:
        words = ["-m", "headframe", "demo", "--no-browser", "--port", "0", "--json"]
        if not way.video_only:
            link = Path(folder, "age.toml")
            tables = (
                f"[up]\ndelay_ms = {way.to_cockpit_ms}.0\n"
                f"[down]\ndelay_ms = {way.to_machine_ms}.0\n"
            )
            text = f'[link]\nname = "age"\ntitle = "{way}"\n{tables}'
            await asyncio.to_thread(link.write_text, text)
            words += ["--link", str(link)]
        demo = await asyncio.create_subprocess_exec(
            sys.executable, *words, stdout=asyncio.subprocess.PIPE
        )
        try:
            assert demo.stdout is not None
            line = await demo.stdout.readline()
            if not line:
                raise RuntimeError("the demo did not start")
            return await watch_page(json.loads(line)["url"], way, seconds)
        finally:
            if demo.returncode is None:
                demo.send_signal(signal.SIGINT)
            await asyncio.wait_for(demo.wait(), GRACE_S)


async def watch_page(url: str, way: Way, seconds: float) -> Ride:
    """Take control on the page, let it settle, and compare each age that it writes."""
    strip_js = (await asyncio.to_thread(STRIP.read_text)).replace("export ", "")
    watch_js = await asyncio.to_thread(WATCH.read_text)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        page = await browser.new_page(viewport={"width": 1366, "height": 768})
        if way.video_only:
            await lead_video(page, way)
        await page.add_init_script(f"{{ {strip_js}\n{watch_js} }}")
        await page.goto(url)
        await page.wait_for_selector("#stage[data-live=live]", timeout=READY_WITHIN_MS)
        if way.drivable:
            await page.click("[data-do=lease]")
        await asyncio.sleep(SETTLES_S)
        zero_us = await clock_offset_us(page)
        await page.evaluate("() => { window.age.written.length = 0; }")
        await asyncio.sleep(seconds)
        written = await page.evaluate("() => window.age.written")
        within = await page.text_content("#picture-age-within") or "less than ±30"
        await browser.close()
    return Ride(errors_ms(written, zero_us), within)


async def lead_video(page: Page, way: Way) -> None:
    """Lead every peer connection of the page over a line with the way's delays."""
    lines = []

    async def lead(sdp: str) -> str:
        line = Line(Impairment(one_way_s=way.to_machine_ms / 1000, back_s=way.to_cockpit_ms / 1000))
        lines.append(line)
        await line.open()
        return line.disguise(sdp, 1)

    await page.expose_function("leadVideo", lead)


def errors_ms(written: list[list[Any]], zero_us: float) -> list[float]:
    """Return shown less true age of each that the page wrote; what it did not know is none.

    Raises:
        RuntimeError: it knew the age in fewer than nine of ten cases.
    """
    known = [each for each in written if re.fullmatch(r"[0-9]+", each[1])]
    if not known or len(known) < KNOWN_SHARE * len(written):
        raise RuntimeError(f"the page knew the age {len(known)} times of {len(written)}")
    return [
        int(text) - (zero_us + at_ms * 1000 - capture_us) / 1000
        for at_ms, text, capture_us in known
    ]


def measure(quick: bool) -> Measurement:
    """Compare the shown age with the truth."""
    seconds = QUICK_S if quick else SECONDS
    amounts, notes = [], []
    for way in QUICK_WAYS if quick else WAYS:
        got = asyncio.run(ride(way, seconds))
        if way.counts:
            amounts += [abs(error) for error in got.errors_ms]
        low, high = min(got.errors_ms), max(got.errors_ms)
        middle = percentiles(got.errors_ms).p50
        notes.append(
            f"{way}: p50 {middle:+.0f}, {low:+.0f} to {high:+.0f} ms, n = {len(got.errors_ms)},"
            f" the page says {got.within_ms} ms"
        )
        sys.stderr.write(notes[-1] + "\n")
    return Measurement(
        name="age",
        unit="ms",
        samples=amounts,
        held=percentiles(amounts).p99 <= HELD_MS,
        notes="amount of shown less true picture age. " + "; ".join(notes),
    )


if __name__ == "__main__":
    sys.exit(run(measure))
