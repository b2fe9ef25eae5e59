"""What a machine with a drum has rolled of the mats of its site, by the truth of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sim.machines.parameters import Machine
from sim.machines.tools import DrumParameters
from sim.simulated_machine import Truth
from sim.world.coverage import CELL_M, Coverage
from sim.world.site import Site

MATS = frozenset({"asphalt", "asphalt_hot"})
"""Patches that are there to be rolled."""


@dataclass(frozen=True, slots=True, eq=False)
class Rolled:
    """One mat at the end of a run.

    Attributes:
        mat: name of the stretch of the site that it lies in.
        passes: of each cell of ``CELL_M``, (along, across), from its rear right corner.
    """

    mat: str
    passes: npt.NDArray[np.int32]

    @property
    def shares(self) -> tuple[float, ...]:
        """Share of its area that had at least one pass, two, and so on to the most."""
        return tuple(
            float((self.passes >= least).mean()) for least in range(1, int(self.passes.max()) + 1)
        )

    def as_dict(self) -> dict[str, object]:
        """For JSON, rounded."""
        shares = {str(number): round(share, 4) for number, share in enumerate(self.shares, 1)}
        return {"mat": self.mat, "cell_m": CELL_M, "share_by_passes": shares}


class Rolling:
    """Follows the drum of one machine over the mats of one site; nothing without either.

    The drum's axle is the reference point of an articulated roller.
    """

    def __init__(self, machine: Machine, site: Site) -> None:
        tool = machine.plant.tool
        mats = [patch for patch in site.things.patches if patch.kind in MATS]
        half_m = 0.5 * tool.width_m if isinstance(tool, DrumParameters) else None
        self._mats = [] if half_m is None else [
            (site.zone_at(site.locate(mat.x_m, mat.y_m)[0]).name, Coverage(mat, half_m))
            for mat in mats
        ]  # fmt: skip

    def follow(self, truth: Truth) -> None:
        """The machine is here now."""
        for _, coverage in self._mats:
            coverage.roll(truth["x_m"], truth["y_m"], truth["heading_rad"])

    def result(self) -> tuple[Rolled, ...]:
        """Each mat as it is now."""
        return tuple(Rolled(name, coverage.passes.copy()) for name, coverage in self._mats)


def rolled_share(mats: Sequence[Rolled]) -> float | None:
    """Share of the area of all mats that had at least one pass; None without a mat."""
    cells = sum(mat.passes.size for mat in mats)
    return sum(int((mat.passes > 0).sum()) for mat in mats) / cells if cells else None
