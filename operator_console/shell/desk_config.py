"""A desk's file: which devices, what each axis and contact does, as the wizard wrote it."""

from __future__ import annotations

import hashlib
import json
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from operator_console.core.axes import DEAD_ZONE_MAX, Axis
from operator_console.core.desk_layout import AxisDoes, AxisUse, KeyDoes, KeyUse, Kind, Layout
from operator_console.core.devices import Identity, serial_box
from operator_console.core.force import CAP, cap_of
from protocol.profiles import first_problem

_STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, frozen=True)
_U16 = Annotated[int, Field(ge=0, le=0xFFFF)]
_Code = Annotated[int, Field(ge=0, le=0x2FF)]
_Raw = Annotated[int, Field(ge=-(1 << 31), le=(1 << 31) - 1)]


class DeviceFile(BaseModel):
    """Who a device is; see :class:`Identity`."""

    model_config = _STRICT
    bus: _U16
    vendor: _U16
    product: _U16
    port: str
    capabilities: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
    name: str = ""


class BoxFile(BaseModel):
    """A box of contacts on a serial line.

    Attributes:
        serial: the line's name, on a real machine one of ``/dev/serial/by-id/``.
    """

    model_config = _STRICT
    serial: Annotated[str, Field(min_length=1)]


class AxisFile(BaseModel):
    """One axis; see :class:`Axis`."""

    model_config = _STRICT
    does: Annotated[AxisDoes, Field(strict=False)]
    device: str
    code: Annotated[int, Field(ge=0, le=0x3F)]
    zero: _Raw
    full: _Raw
    other: _Raw | None = None
    valid: Annotated[tuple[_Raw, _Raw], Field(strict=False)]
    dead_zone: Annotated[float, Field(ge=0, le=DEAD_ZONE_MAX)] = 0.0
    expo: Annotated[float, Field(ge=0, le=1)] = 0.0


class KeyFile(BaseModel):
    """One contact; see :class:`KeyUse`."""

    model_config = _STRICT
    does: Annotated[KeyDoes, Field(strict=False)]
    device: str
    code: _Code


class ForceFile(BaseModel):
    """Force feedback of one device.

    Attributes:
        cap: of the device's full force. full_torque_nm: where it is known; never above 3 Nm act.
        reversed: it pushes the other way, as the wizard found.
    """

    model_config = _STRICT
    device: str
    cap: Annotated[float, Field(gt=0, le=CAP)] = CAP
    full_torque_nm: Annotated[float, Field(gt=0, le=50)] | None = None
    reversed: bool = False


class DeskFile(BaseModel):
    """One desk.

    Attributes:
        steer_rate_per_s: sticks: of full lock a second, at full deflection.
        grab: keep the devices' events from every other program of this computer.
        boxes: of contacts, on serial lines; their names are none of the devices'.
    """

    model_config = _STRICT
    kind: Annotated[Kind, Field(strict=False)]
    steer_rate_per_s: Annotated[float, Field(gt=0, le=2)] = 0.5
    grab: bool = True
    devices: Annotated[dict[str, DeviceFile], Field(min_length=1, max_length=8)]
    boxes: Annotated[dict[str, BoxFile], Field(max_length=4)] = {}
    axes: Annotated[list[AxisFile], Field(max_length=8)]
    keys: Annotated[list[KeyFile], Field(max_length=64)]
    force: ForceFile | None = None


@dataclass(frozen=True, slots=True)
class ForceUse:
    """Which device pushes back, how far, and whether the other way round."""

    device: str
    cap: float
    reversed: bool


@dataclass(frozen=True, slots=True)
class DeskPlan:
    """What a desk's file says, as the input process uses it.

    Attributes:
        digest: of what the file says; two files with one meaning have the same.
    """

    layout: Layout
    grab: bool
    force: ForceUse | None
    digest: str = ""


def load_desk(path: Path, *, simulated: bool) -> DeskPlan:
    """Return the desk in a file.

    Args:
        path: of the file. simulated: the machine is a simulated one, which asks less.

    Raises:
        ValueError: one line that names file, key and reason.
    """
    try:
        text = path.read_text(encoding="utf-8")
        desk = DeskFile.model_validate(tomllib.loads(text))
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}; headframe console --calibrate") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not TOML: {error}") from error
    except ValidationError as error:
        raise ValueError(f"{path}: {first_problem(error)}") from error
    plan = plan_of(desk)
    problem = plan.layout.problem(simulated=simulated)
    if problem is None and plan.force is not None and plan.force.device not in desk.devices:
        problem = f"no device is called {plan.force.device}"
    both = set(desk.devices) & set(desk.boxes)
    if both:
        problem = f"a device and a box are called {min(both)}"
    if problem is not None:
        raise ValueError(f"{path}: {problem}")
    return plan


def plan_of(desk: DeskFile) -> DeskPlan:
    """Return what a desk's file means."""
    devices = {name: Identity(**each.model_dump()) for name, each in desk.devices.items()}
    devices |= {name: serial_box(each.serial) for name, each in desk.boxes.items()}
    axes = tuple(AxisUse(each.does, each.device, _axis(each)) for each in desk.axes)
    keys = tuple(KeyUse(each.does, each.device, each.code) for each in desk.keys)
    layout = Layout(desk.kind, devices, axes, keys, desk.steer_rate_per_s)
    return DeskPlan(layout, desk.grab, _force(desk.force), _digest(desk))


def _force(force: ForceFile | None) -> ForceUse | None:
    if force is None:
        return None
    return ForceUse(force.device, cap_of(force.cap, force.full_torque_nm), force.reversed)


def _digest(desk: DeskFile) -> str:
    return hashlib.blake2b(desk.model_dump_json().encode(), digest_size=8).hexdigest()


def _axis(one: AxisFile) -> Axis:
    low, high = one.valid
    return Axis(one.code, one.zero, one.full, one.other, low, high, one.dead_zone, one.expo)


def desk_text(desk: DeskFile) -> str:
    """Return a desk as TOML."""
    content = desk.model_dump(mode="json", exclude_none=True)
    scalars = {name: value for name, value in content.items() if not isinstance(value, dict | list)}
    lines = [*_pairs(scalars), ""]
    for kind in ("devices", "boxes"):
        for name, device in content[kind].items():
            lines += [f"[{kind}.{json.dumps(name)}]", *_pairs(device), ""]
    for table in ("axes", "keys"):
        for one in content[table]:
            lines += [f"[[{table}]]", *_pairs(one), ""]
    if "force" in content:
        lines += ["[force]", *_pairs(content["force"]), ""]
    return "\n".join(lines)


def _pairs(table: dict[str, object]) -> list[str]:
    return [f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in table.items()]
