"""Field types of machine files: what a number may be, and its unit in the file against SI inside.

A parameter is declared once, as a field of a frozen dataclass, with its SI unit in the name.
Where machine sheets use another unit the file does too, and the field's alias says which.
"""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field

STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)

Positive = Annotated[float, Field(gt=0.0)]
NotNegative = Annotated[float, Field(ge=0.0)]
Share = Annotated[float, Field(gt=0.0, le=1.0)]
"""Of a whole, above nothing."""
Part = Annotated[float, Field(ge=0.0, le=1.0)]
"""Of a whole, nothing included."""
Delay = Annotated[float, Field(ge=0.0, le=5.0)]
"""Seconds of dead time."""
Coefficient = Annotated[float, Field(gt=0.0, le=1.5)]
"""Friction."""
FromDegrees = AfterValidator(math.radians)
"""Degrees in the file, radians inside."""


def _mps(speed_kmh: float) -> float:
    return speed_kmh / 3.6


FromKmh = AfterValidator(_mps)
"""km/h in the file, m/s inside."""
