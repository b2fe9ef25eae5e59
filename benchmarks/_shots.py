"""Pictures of the cockpit, of a real demo driven by keys: ``python -m benchmarks._shots DIR``.

Each is what a driver, a supervisor or an engineer sees at that moment; nothing is painted in.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from playwright.async_api import Browser, BrowserContext, Page, async_playwright

from benchmarks.chains.browser import CHROMIUM, FLAGS
from benchmarks.reverse import ARM_KEYS, STANDS, TAKEN, arm, demo, enable

READY_WITHIN_MS = 60_000
SMALL, FULL = (1366, 768), (1920, 1080)
GO_S, LOOK_S, SIT_S = 6.0, 0.4, 4.0


@dataclass(frozen=True, slots=True)
class Camera:
    """Takes pictures of pages into a folder."""

    folder: Path

    async def take(self, page: Page, name: str, size: tuple[int, int] = SMALL) -> None:
        """Take one, at a size."""
        await page.set_viewport_size({"width": size[0], "height": size[1]})
        await asyncio.sleep(LOOK_S)
        await page.screenshot(path=self.folder / f"{name}.png")


async def shoot(folder: Path) -> None:
    """Drive the demo once and take every picture."""
    with tempfile.TemporaryDirectory() as run:
        async with demo(Path(run)) as (url, _), async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
            try:
                await _drive(browser, url, Camera(folder))
            finally:
                await browser.close()


async def _context(browser: Browser) -> BrowserContext:
    # Taking a picture writes a style into the page, which the page's own policy refuses.
    return await browser.new_context(
        bypass_csp=True, viewport={"width": SMALL[0], "height": SMALL[1]}
    )


async def _drive(browser: Browser, url: str, camera: Camera) -> None:
    context = await _context(browser)
    page = await context.new_page()
    await page.goto(url)
    await page.wait_for_selector("#stage[data-live=live]", timeout=READY_WITHIN_MS)
    await camera.take(page, "standby")
    await page.click("[data-do=lease]")
    await page.wait_for_function(TAKEN, timeout=READY_WITHIN_MS)
    await _beside(browser, url, camera, ("wing",))
    await _refused(page, camera)
    await arm(page)
    await _enabled(page)
    await _shift(page, "KeyE")
    await page.keyboard.down("KeyW")
    await asyncio.sleep(GO_S)
    await camera.take(page, "driving")
    await camera.take(page, "driving-1080p", FULL)
    await page.keyboard.press("KeyN")
    await camera.take(page, "night")
    await page.keyboard.press("KeyN")
    await page.keyboard.press("KeyG")
    await camera.take(page, "chinese")
    await camera.take(page, "chinese-1080p", FULL)
    await page.keyboard.press("KeyG")
    await page.keyboard.down("KeyS")
    await asyncio.sleep(LOOK_S)
    await camera.take(page, "degraded")
    await page.keyboard.up("KeyS")
    await asyncio.sleep(GO_S)
    await page.keyboard.up("ShiftLeft")
    await asyncio.sleep(LOOK_S)
    await camera.take(page, "stopping")
    await page.wait_for_function(STANDS, timeout=READY_WITHIN_MS)
    await page.keyboard.up("KeyW")
    await asyncio.sleep(1.0)
    await camera.take(page, "stopped")
    await _reverse(page, camera)
    await _beside(browser, url, camera, ("engineer", "supervisor"))


async def _refused(page: Page, camera: Camera) -> None:
    """Ask to arm with the throttle pressed: the refusal names it."""
    await page.keyboard.down("KeyW")
    await asyncio.sleep(1.0)
    for key in ARM_KEYS:
        await page.keyboard.down(key)
    await asyncio.sleep(2.0)
    await camera.take(page, "arming-refused")
    for key in (*ARM_KEYS, "KeyW"):
        await page.keyboard.up(key)
    await asyncio.sleep(1.0)


async def _shift(page: Page, key: str) -> None:
    await page.keyboard.down("KeyS")
    await asyncio.sleep(0.5)
    await page.keyboard.press(key)
    await asyncio.sleep(0.5)
    await page.keyboard.up("KeyS")


async def _reverse(page: Page, camera: Camera) -> None:
    await page.click("[data-do=reset]")
    await asyncio.sleep(1.0)
    await arm(page)
    await _enabled(page)
    await _shift(page, "KeyQ")
    await page.keyboard.down("KeyW")
    await page.keyboard.down("KeyA")
    await asyncio.sleep(GO_S / 2)
    await camera.take(page, "reverse")
    await page.keyboard.up("KeyW")
    await page.keyboard.up("KeyA")


async def _enabled(page: Page) -> None:
    try:
        await enable(page)
    except RuntimeError as error:
        gaps = await page.get_attribute("#chain-input", "title")
        raise RuntimeError(f"{error}; {gaps}; {await page.inner_text('#events')}") from error


async def _beside(browser: Browser, url: str, camera: Camera, names: tuple[str, ...]) -> None:
    context = await _context(browser)
    head, _, query = url.partition("?")
    for name in names:
        page = await context.new_page()
        await page.goto(f"{head}{name}?camera=1&{query}")
        await asyncio.sleep(SIT_S * (3 if name == "engineer" else 1))
        await camera.take(page, name)
        await page.close()


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    asyncio.run(shoot(folder))
