"""The driver's page in a tab of its own, which no tool is attached to.

A tool that is attached to a page emulates focus in it, and a page with that never becomes hidden,
whatever lies over it. This one is opened, covered, uncovered and closed from the browser's side, as
a driver's hands would.
"""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Browser

from vehicle_agent.shell.clock import monotonic_ns

BLANK = "about:blank"


class Tab:
    """The page, with another tab under it in the same window."""

    def __init__(self, browser: Browser, url: str, size: dict[str, int]) -> None:
        self._session = browser.new_browser_cdp_session()
        self._page = self._open(url=url, newWindow=True, **size)
        self._other = self._open(url=BLANK)
        found = self._session.send("Browser.getWindowForTarget", {"targetId": self._page})
        self._window = found["windowId"]
        self.show()

    def _open(self, **how: Any) -> str:
        return str(self._session.send("Target.createTarget", how)["targetId"])

    def show(self) -> None:
        """Bring the page to the front, in a window of its usual size."""
        self._state("normal")
        self._session.send("Target.activateTarget", {"targetId": self._page})

    def cover(self) -> int:
        """Put the other tab over it; return the monotonic time just before, ns."""
        at_ns = monotonic_ns()
        self._session.send("Target.activateTarget", {"targetId": self._other})
        return at_ns

    def minimise(self) -> int:
        """Minimise its window; return the monotonic time just before, ns."""
        at_ns = monotonic_ns()
        self._state("minimized")
        return at_ns

    def _state(self, state: str) -> None:
        how = {"windowId": self._window, "bounds": {"windowState": state}}
        self._session.send("Browser.setWindowBounds", how)
