"""Link files: TOML in, frozen parameters out, errors that name file, key and reason."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from protocol.profiles import first_problem
from sim.network.parameters import (
    Bursts,
    CoursePoint,
    DirectionParameters,
    GapMode,
    Gaps,
    LinkParameters,
)
from sim.network.trace import parse_trace

LINKS = Path(__file__).resolve().parents[2] / "configs" / "links"
_STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, frozen=True)
_Positive = Annotated[float, Field(gt=0.0)]
_Ms = Annotated[float, Field(ge=0.0, le=60_000.0)]
_Share = Annotated[float, Field(ge=0.0, le=1.0)]


class BurstsFile(BaseModel):
    """Table [up.bursts]: see :class:`Bursts`."""

    model_config = _STRICT
    good_mean_s: _Positive
    bad_mean_s: _Positive
    loss: _Share


class GapsFile(BaseModel):
    """Table [up.gaps]: see :class:`Gaps`."""

    model_config = _STRICT
    every_s: _Positive
    spread: _Share = 0.0
    shortest_ms: _Ms
    longest_ms: _Ms
    mode: Annotated[GapMode, Field(strict=False)] = GapMode.LOSE

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.longest_ms < self.shortest_ms:
            raise ValueError("longest_ms is below shortest_ms")
        return self


class CourseFile(BaseModel):
    """One point of [[up.course]]: see :class:`CoursePoint`."""

    model_config = _STRICT
    at_s: Annotated[float, Field(ge=0.0)]
    loss: _Share = 0.0
    rate_kbps: _Positive | None = None


class DirectionFile(BaseModel):
    """Table [up] or [down]: see :class:`DirectionParameters`.

    Attributes:
        trace: a file in mahimahi's format, beside the link file.
    """

    model_config = _STRICT
    delay_ms: _Ms = 0.0
    jitter_ms: _Ms = 0.0
    loss: _Share = 0.0
    bursts: BurstsFile | None = None
    gaps: GapsFile | None = None
    rate_kbps: _Positive | None = None
    queue_bytes: Annotated[int, Field(ge=1500)] | None = None
    trace: str | None = None
    course: list[CourseFile] = Field(default_factory=list)
    reorder: _Share = 0.0
    reorder_ms: _Ms = 0.0
    duplicate: _Share = 0.0

    @model_validator(mode="after")
    def _whole(self) -> Self:
        times = [point.at_s for point in self.course]
        if times and (len(times) < 2 or times[0] != 0.0 or sorted(set(times)) != times):
            raise ValueError("course: needs two or more points, rising in time from 0")
        if len({point.rate_kbps is None for point in self.course}) > 1:
            raise ValueError("course: rate_kbps stands at every point or at none")
        if self.trace is not None and (self.rate_kbps is not None or self.course):
            raise ValueError("trace: takes the place of rate_kbps and course")
        return self


class NameFile(BaseModel):
    """Table [link].

    Attributes:
        radio: a map in configs/radio, for a link that the machine's place changes.
    """

    model_config = _STRICT
    name: str
    title: str
    radio: str | None = None


class LinkFile(BaseModel):
    """The whole file."""

    model_config = _STRICT
    link: NameFile
    up: DirectionFile
    down: DirectionFile


def load_link(path: Path) -> LinkParameters:
    """Return the link that ``path`` describes; a trace is found beside it.

    Raises:
        ValueError: one line that names the file, the key and the reason.
    """
    try:
        content = LinkFile.model_validate(tomllib.loads(_text(path)))
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path}: not TOML: {error}") from error
    except ValidationError as error:
        raise ValueError(f"{path}: {first_problem(error)}") from error
    head = content.link
    return replace(
        link_of(head.name, head.title, content.up, content.down, path.parent), radio=head.radio
    )


def link_of(
    name: str, title: str, up: DirectionFile, down: DirectionFile, folder: Path
) -> LinkParameters:
    """Return a link from its two tables; a trace is found in ``folder``.

    Raises:
        ValueError: the trace cannot be read.
    """
    return LinkParameters(name, title, _direction(up, folder), _direction(down, folder))


def find_link(name: str) -> LinkParameters:
    """Return a link by its name in configs/links, or by its file.

    Raises:
        ValueError: there is none; the text names those that there are.
    """
    shipped = LINKS / f"{name}.toml"
    if Path(name).name == name and shipped.is_file():
        return load_link(shipped)
    if name.endswith(".toml"):
        return load_link(Path(name))
    known = ", ".join(sorted(path.stem for path in LINKS.glob("*.toml")))
    raise ValueError(f"no link {name!r}; there are: {known}")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise ValueError(f"{path}: {reason}") from error


def _direction(given: DirectionFile, folder: Path) -> DirectionParameters:
    trace = () if given.trace is None else _trace(folder / given.trace)
    return DirectionParameters(
        delay_ns=_ns(given.delay_ms),
        jitter_ns=_ns(given.jitter_ms),
        loss=given.loss,
        bursts=None
        if given.bursts is None
        else Bursts(given.bursts.good_mean_s, given.bursts.bad_mean_s, given.bursts.loss),
        gaps=None if given.gaps is None else _gaps(given.gaps),
        rate_bps=_bps(given.rate_kbps),
        queue_bytes=given.queue_bytes,
        trace_ms=trace,
        course=tuple(CoursePoint(p.at_s, p.loss, _bps(p.rate_kbps)) for p in given.course),
        reorder=given.reorder,
        reorder_ns=_ns(given.reorder_ms),
        duplicate=given.duplicate,
    )


def _gaps(given: GapsFile) -> Gaps:
    return Gaps(
        given.every_s, given.spread, given.shortest_ms / 1e3, given.longest_ms / 1e3, given.mode
    )


def _trace(path: Path) -> tuple[int, ...]:
    return parse_trace(_text(path), str(path))


def _ns(milliseconds: float) -> int:
    return round(milliseconds * 1e6)


def _bps(kbps: float | None) -> float | None:
    return None if kbps is None else kbps * 1e3
