"""When a picture of a network camera was taken, told from the camera's own clock.

A stream that stalled delivers what it kept, late and in a burst: stamped on arrival, old pictures
would count as fresh. The camera's time stamps (PTS) say how far apart the pictures were taken, so
a picture's lag is how much later it came, measured by its stamp, than the quickest one did. What
the quickest one took on its way is not seen; it is a constant of the camera, for the bench.
"""

from __future__ import annotations

DRIFT_PPM = 200
"""How fast two clocks may part: crystals are within ±100 ppm each. The quickest way known grows by
this, so that a slow camera clock makes no lag, and a real lag of 400 ms is believed for 30 min."""


class StreamClock:
    """One connection's clock; a new connection begins a new one."""

    def __init__(self) -> None:
        self._quickest_us: int | None = None
        self._last_us = 0

    def lag_us(self, pts_us: int, arrival_us: int) -> int:
        """Return how much later than by the quickest way a picture came, at least 0.

        Args:
            pts_us: the camera's stamp, from any origin.
            arrival_us: own monotonic time.
        """
        way_us = arrival_us - pts_us
        if self._quickest_us is None:
            self._quickest_us = way_us
        else:
            self._quickest_us += (arrival_us - self._last_us) * DRIFT_PPM // 1_000_000
        self._last_us = arrival_us
        self._quickest_us = min(self._quickest_us, way_us)
        return way_us - self._quickest_us
