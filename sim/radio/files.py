"""Radio maps: TOML in configs/radio in, a site's coverage out; errors name file, key and reason."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from protocol.profiles import first_problem
from sim.radio.coverage import Antenna, Coverage, Technology
from sim.world.files import WorldFileError, read_toml
from sim.world.site import Site

RADIO = Path(__file__).resolve().parents[2] / "configs" / "radio"
_STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, frozen=True)
_Positive = Annotated[float, Field(gt=0.0)]
_NotNegative = Annotated[float, Field(ge=0.0)]
_Share = Annotated[float, Field(ge=0.0, le=1.0)]


class HeadFile(BaseModel):
    """Table [radio]: ``site`` is the one whose centre line the stations count along."""

    model_config = _STRICT
    name: str
    title: str
    site: str


class TechnologyFile(BaseModel):
    """Table [technology]: see :class:`Technology`."""

    model_config = _STRICT
    kind: Literal["leaky-feeder", "wifi", "5g"]
    margin_db: _Positive
    way_db_per_100m: _Positive
    bend_db_per_90deg: _NotNegative
    full_db: _Positive
    edge_loss: _Share
    edge_delay_ms: _NotNegative
    full_kbps: _Positive
    edge_kbps: _Positive
    stronger_db: _NotNegative
    shortest_ms: _NotNegative
    longest_ms: _NotNegative

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.longest_ms < self.shortest_ms:
            raise ValueError("longest_ms is below shortest_ms")
        if self.full_kbps < self.edge_kbps:
            raise ValueError("full_kbps is below edge_kbps")
        return self


class AntennaFile(BaseModel):
    """One [[antennas]]: ``at_m``, or the stations between which a leaky feeder runs."""

    model_config = _STRICT
    name: str
    at_m: _NotNegative | None = None
    from_m: _NotNegative | None = None
    to_m: _NotNegative | None = None
    cable_db_per_100m: _NotNegative = 0.0

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.at_m is None) == (self.from_m is None or self.to_m is None):
            raise ValueError("needs at_m, or from_m and to_m")
        if self.from_m is not None and self.to_m is not None and self.to_m <= self.from_m:
            raise ValueError("to_m is not past from_m")
        return self

    @property
    def run_m(self) -> tuple[float, float]:
        """Where it begins and ends."""
        if self.from_m is not None and self.to_m is not None:
            return self.from_m, self.to_m
        assert self.at_m is not None
        return self.at_m, self.at_m


class RadioFile(BaseModel):
    """The whole file."""

    model_config = _STRICT
    radio: HeadFile
    technology: TechnologyFile
    antennas: Annotated[list[AntennaFile], Field(min_length=1)]


def load_coverage(path: Path, site: Site) -> Coverage:
    """Return the coverage of ``site`` that ``path`` describes.

    Raises:
        WorldFileError: one line that names the file, the key and the reason.
    """
    try:
        content = RadioFile.model_validate(read_toml(path))
    except ValidationError as error:
        raise WorldFileError(f"{path}: {first_problem(error)}") from error
    if content.radio.site != site.name:
        raise WorldFileError(f"{path}: is a map of {content.radio.site}, not of {site.name}")
    for number, antenna in enumerate(content.antennas):
        if antenna.run_m[1] > site.length_m:
            raise WorldFileError(
                f"{path}: antennas.{number}: lies past the site's end, {site.length_m:.1f} m"
            )
    return Coverage(site, _technology(content.technology), map(_antenna, content.antennas))


def find_coverage(name: str, site: Site) -> Coverage:
    """Return the coverage of a map by its name in configs/radio.

    Raises:
        WorldFileError: there is none, or it is not of this site.
    """
    path = RADIO / f"{name}.toml"
    if Path(name).name != name or not path.is_file():
        known = ", ".join(sorted(each.stem for each in RADIO.glob("*.toml")))
        raise WorldFileError(f"no radio map {name!r}; there are: {known}")
    return load_coverage(path, site)


def _technology(given: TechnologyFile) -> Technology:
    return Technology(
        name=given.kind,
        margin_db=given.margin_db,
        way_db_per_m=given.way_db_per_100m / 100.0,
        bend_db_per_deg=given.bend_db_per_90deg / 90.0,
        full_db=given.full_db,
        edge_loss=given.edge_loss,
        edge_delay_s=given.edge_delay_ms / 1e3,
        full_bps=given.full_kbps * 1e3,
        edge_bps=given.edge_kbps * 1e3,
        stronger_db=given.stronger_db,
        shortest_s=given.shortest_ms / 1e3,
        longest_s=given.longest_ms / 1e3,
    )


def _antenna(given: AntennaFile) -> Antenna:
    from_m, to_m = given.run_m
    return Antenna(given.name, from_m, to_m, given.cable_db_per_100m / 100.0)
