"""The picture age on the driver's screen against the truth, over links with added delay.

    python -m benchmarks.age [--json] [--quick]

The demo's programs over a link of sim/network, and its page in Chromium. Each time that the page
writes a new age, the truth is this computer's clock less the capture stamp of the picture that
was on the screen then. The samples are the differences, as amounts; the notes have them with their
sign, for each delay. Delays are the same both ways: of an asymmetric link every exchange of
messages hides half of the difference (RFC 5905, 8).
"""

from __future__ import annotations

import asyncio
import json
import re
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

from playwright.async_api import async_playwright

from benchmarks.chains.browser import CHROMIUM, FLAGS, clock_offset_us
from benchmarks.common import Measurement, percentiles, run

ONE_WAY_MS = (50, 100, 150)
QUICK_ONE_WAY_MS = (50, 150)
SECONDS, QUICK_S = 12.0, 5.0
SETTLES_S = 4.0
READY_WITHIN_MS = 40_000
GRACE_S = 10.0
LINK = '[link]\nname = "age"\ntitle = "age"\n[up]\ndelay_ms = {0}.0\n[down]\ndelay_ms = {0}.0\n'
WATCH = """() => {
  window.written = [];
  let captureUs = 0;
  const send = WebSocket.prototype.send;
  WebSocket.prototype.send = function (text) {
    const message = JSON.parse(text);
    if (message.t === "view") captureUs = message.capture_us;
    return send.call(this, text);
  };
  window.addEventListener("DOMContentLoaded", () => {
    const shown = document.getElementById("picture-age");
    new MutationObserver(() => {
      if (captureUs) window.written.push([performance.now(), shown.textContent, captureUs]);
    }).observe(shown, { childList: true, characterData: true, subtree: true });
  });
}"""


async def ride(one_way_ms: int, seconds: float) -> list[float]:
    """Return what the page showed less the truth, in ms, over a link of that delay."""
    with tempfile.TemporaryDirectory() as folder:
        link = Path(folder, "age.toml")
        await asyncio.to_thread(link.write_text, LINK.format(one_way_ms))
        words = ("-m", "headframe", "demo", "--link", str(link), "--no-browser", "--port", "0")
        demo = await asyncio.create_subprocess_exec(
            sys.executable, *words, "--json", stdout=asyncio.subprocess.PIPE
        )
        try:
            assert demo.stdout is not None
            line = await demo.stdout.readline()
            if not line:
                raise RuntimeError("the demo did not start")
            return await watch_page(json.loads(line)["url"], seconds)
        finally:
            if demo.returncode is None:
                demo.send_signal(signal.SIGINT)
            await asyncio.wait_for(demo.wait(), GRACE_S)


async def watch_page(url: str, seconds: float) -> list[float]:
    """Take control on the page, let it settle, and compare each age that it writes."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        page = await browser.new_page(viewport={"width": 1366, "height": 768})
        await page.add_init_script(f"({WATCH})()")
        await page.goto(url)
        await page.wait_for_selector("#stage[data-live=live]", timeout=READY_WITHIN_MS)
        await page.click("[data-do=lease]")
        await page.wait_for_function(
            "/^[0-9]+$/.test(document.getElementById('picture-age').textContent)",
            timeout=READY_WITHIN_MS,
        )
        await asyncio.sleep(SETTLES_S)
        zero_us = await clock_offset_us(page)
        await page.evaluate("() => { window.written.length = 0; }")
        await asyncio.sleep(seconds)
        written = await page.evaluate("() => window.written")
        await browser.close()
    return errors_ms(written, zero_us)


def errors_ms(written: list[list[Any]], zero_us: float) -> list[float]:
    """Return shown less true age of each that the page wrote; one that it did not know is none."""
    found = []
    for at_ms, text, capture_us in written:
        if re.fullmatch(r"[0-9]+", text):
            found.append(int(text) - (zero_us + at_ms * 1000 - capture_us) / 1000)
    return found


def measure(quick: bool) -> Measurement:
    """Compare the shown age with the truth."""
    seconds = QUICK_S if quick else SECONDS
    amounts, notes = [], []
    for one_way_ms in QUICK_ONE_WAY_MS if quick else ONE_WAY_MS:
        errors = asyncio.run(ride(one_way_ms, seconds))
        amounts += [abs(error) for error in errors]
        low, high = min(errors), max(errors)
        middle = percentiles(errors).p50
        notes.append(
            f"{2 * one_way_ms} ms round trip: p50 {middle:+.0f}, {low:+.0f} to {high:+.0f} ms,"
            f" n = {len(errors)}"
        )
        sys.stderr.write(notes[-1] + "\n")
    return Measurement(
        name="age",
        unit="ms",
        samples=amounts,
        notes="amount of shown less true picture age. " + "; ".join(notes),
    )


if __name__ == "__main__":
    sys.exit(run(measure))
