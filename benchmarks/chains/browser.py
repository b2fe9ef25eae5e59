"""One Chromium for all chains that end in a browser, and the clock that it shares with us."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
from aiohttp import web
from playwright.async_api import Browser, Page, async_playwright

from benchmarks.chains.conductor import (
    WARM_UP_S,
    Scenario,
    our_sender,
    part,
    stock_sender,
)
from protocol.strip import strip_bits
from vehicle_agent.shell import clock

CHROMIUM = "/usr/bin/chromium"
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-background-timer-throttling",
    "--disable-renderer-backgrounding",
    "--disable-backgrounding-occluded-windows",
    "--autoplay-policy=no-user-gesture-required",
    "--allow-loopback-in-peer-connection",
    "--disable-features=WebRtcHideLocalIpsWithMdns",
)
SLIDE_US = 370
"""Each capture comes this much later than the rate says: over 1.5 s it meets every phase of a
display of 60 Hz once, so that no chain has luck with it."""
HERE = Path(__file__).parent
STRIP = HERE.parents[1] / "operator_console" / "ui" / "strip.js"
HTML = """<!doctype html><title>chain</title><style>body{margin:0}</style>
<video muted autoplay playsinline width=1280 height=720></video>
<script type=module src=/page.js></script>"""
CLOCK_TRIES = 60
STRIPS = 4096


@asynccontextmanager
async def chromium(pictures: Path) -> AsyncIterator[tuple[Browser, str]]:
    """Run Chromium and the server of its page while the block runs; gives the page's address."""
    raw = np.load(pictures).tobytes()
    app = web.Application()

    async def text(body: str, kind: str) -> web.Response:
        return web.Response(text=body, content_type=kind)

    page_js = (HERE / "page.js").read_text(encoding="utf-8")
    strip_js = STRIP.read_text(encoding="utf-8")

    async def index(_: web.Request) -> web.Response:
        return await text(HTML, "text/html")

    async def page(_: web.Request) -> web.Response:
        return await text(page_js, "text/javascript")

    async def strip(_: web.Request) -> web.Response:
        return await text(strip_js, "text/javascript")

    async def all_pictures(_: web.Request) -> web.Response:
        return web.Response(body=raw)

    for path, handler in (
        ("/", index),
        ("/page.js", page),
        ("/strip.js", strip),
        ("/pictures", all_pictures),
    ):
        app.router.add_get(path, handler)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    try:
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(
                executable_path=CHROMIUM, args=list(FLAGS), ignore_default_args=["--mute-audio"]
            )
            yield browser, f"http://127.0.0.1:{port}/"
            await browser.close()
    finally:
        await runner.cleanup()


async def open_page(browser: Browser, address: str) -> Page:
    """Open the chain's page in a window of its own."""
    context = await browser.new_context(viewport={"width": 1280, "height": 720})
    page = await context.new_page()
    await page.goto(address)
    await page.wait_for_function("window.offer !== undefined")
    return page


async def clock_offset_us(page: Page) -> float:
    """Return monotonic µs of the page's time zero, from the quickest of many round trips."""
    trips = []
    for _ in range(CLOCK_TRIES):
        before_us = clock.monotonic_us()
        page_ms = await page.evaluate("performance.now()")
        after_us = clock.monotonic_us()
        trips.append((after_us - before_us, (before_us + after_us) / 2 - page_ms * 1000))
    return float(min(trips)[1])


async def python_sender(
    browser: Browser, address: str, ours: bool, pictures: Path, folder: Path, scenario: Scenario
) -> list[float]:
    """Measure one Python sender; return ms from capture to presented of each picture."""
    buffer = folder / "camera"
    camera = (
        *("--pictures", str(pictures), "--buffer", str(buffer), "--fps", str(scenario.fps)),
        *("--slide-us", str(SLIDE_US)),
    )
    sending = our_sender if ours else stock_sender
    async with (
        part("benchmarks.chains.pictures", *camera) as source,
        sending(folder, buffer, scenario) as sender,
    ):
        await source.until_ready()
        page = await open_page(browser, address)
        offset_us = await clock_offset_us(page)
        answer = await sender.answer(await page.evaluate("offer()"))
        await page.evaluate("sdp => accept(sdp)", answer)
        await asyncio.sleep(WARM_UP_S + scenario.seconds)
        results = await page.evaluate("results()")
        stamps_us, _ = await sender.finish()
        await page.context.close()
    stamps = (
        {int(number): stamp for number, stamp in results["announced"].items()}
        if stamps_us is None
        else dict(enumerate(stamps_us))
    )
    return latencies_ms(results["presented"], stamps, offset_us)


async def chromium_sender(browser: Browser, address: str, scenario: Scenario) -> list[float]:
    """Measure Chromium to Chromium; return ms from capture to presented of each picture."""
    sender, receiver = await open_page(browser, address), await open_page(browser, address)
    sender_zero_us = await clock_offset_us(sender)
    receiver_zero_us = await clock_offset_us(receiver)
    setup = {
        "width": scenario.width,
        "height": scenario.height,
        "bitRate": scenario.bit_rate_bps,
        "periodMs": 1000 / scenario.fps + SLIDE_US / 1000,
        "strips": ["".join(map(str, strip_bits(number))) for number in range(STRIPS)],
    }
    offer = await receiver.evaluate("offer()")
    answer = await sender.evaluate("([sdp, setup]) => send(sdp, setup)", [offer, setup])
    await receiver.evaluate("sdp => accept(sdp)", answer)
    await asyncio.sleep(WARM_UP_S + scenario.seconds)
    results = await receiver.evaluate("results()")
    sent = await sender.evaluate("finish()")
    await sender.context.close()
    await receiver.context.close()
    stamps = {number: int(sender_zero_us + ms * 1000) for number, ms in enumerate(sent["captured"])}
    return latencies_ms(results["presented"], stamps, receiver_zero_us)


def latencies_ms(
    presented: list[list[Any]], stamps_us: dict[int, int], zero_us: float
) -> list[float]:
    """Return the time from capture to presented of each picture, without those of the warm-up."""
    if not presented:
        raise RuntimeError("no picture was presented")
    from_ms = presented[0][1] + WARM_UP_S * 1000
    return [
        (zero_us + at_ms * 1000 - stamps_us[number]) / 1000
        for number, at_ms, _ in presented
        if number in stamps_us and at_ms >= from_ms
    ]
