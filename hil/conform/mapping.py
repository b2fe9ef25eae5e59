"""What a DBC does not say of a machine: which signal is which quantity, its limits, its time-outs.

YAML, schema ``headframe-mapping/1``. Quantities are SI: curvature in 1/m positive to the left,
speed in m/s positive forwards, deceleration in m/s² as a magnitude. ``per_unit`` turns them into
the unit of the signal, as the maker's manual names it: -1000 for a curvature in 1/km to the right.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

import cantools
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from protocol.profiles import first_problem

_STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, frozen=True)
_Positive = Annotated[float, Field(gt=0.0)]
_Ms = Annotated[int, Field(gt=0, le=10_000)]


class MappingRefused(ValueError):
    """Raised when DBC and mapping cannot be used together; one line that names what is missing."""


class SignalName(BaseModel):
    """One signal of the DBC."""

    model_config = _STRICT
    frame: str
    signal: str


class Quantity(BaseModel):
    """One thing that is commanded, and how the machine shows that it obeys.

    Attributes:
        command, feedback: signals. per_unit: of the signal for 1 of SI, with its sign.
        limit: largest magnitude that may be asked for, SI. both_ways: negative values too.
        settle_ms: after which the feedback stands. tolerance: share by which it may differ.
    """

    model_config = _STRICT
    command: SignalName
    feedback: SignalName
    per_unit: float
    limit: _Positive
    both_ways: bool = True
    settle_ms: _Ms = 1000
    tolerance: Annotated[float, Field(gt=0.0, le=0.5)] = 0.05

    @field_validator("per_unit")
    @classmethod
    def _not_nothing(cls, value: float) -> float:
        if value == 0.0:
            raise ValueError("0 turns every value into none")
        return value


class Switch(SignalName):
    """A signal with codes for enabled and disabled."""

    enabled: int
    disabled: int


class State(SignalName):
    """The machine's word for being driven remotely."""

    active: int


class Heartbeat(SignalName):
    """A counter in a command frame; it goes from 0 to the largest value that the DBC allows."""


class Mapping(BaseModel):
    """The whole file.

    Attributes:
        cycles_ms: period of each command frame. timeout_ms: of the machine, for any of them.
        constants: other signals of the command frames; those not named are 0.
    """

    model_config = _STRICT
    schema_: Annotated[Literal["headframe-mapping/1"], Field(alias="schema")]
    machine: str
    quantities: Annotated[dict[str, Quantity], Field(min_length=1)]
    enable: Switch
    state: State
    heartbeat: Heartbeat
    cycles_ms: Annotated[dict[str, _Ms], Field(min_length=1)]
    timeout_ms: _Ms
    constants: dict[str, dict[str, float]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _frames_have_cycles(self) -> Self:
        commands = [q.command for q in self.quantities.values()]
        for name in (*commands, self.enable, self.heartbeat):
            if name.frame not in self.cycles_ms:
                raise ValueError(f"cycles_ms: {name.frame} is sent, and has no period")
        return self


class ForeignCodec:
    """A DBC and a mapping together.

    Args:
        dbc: file. mapping: checked content.

    Raises:
        MappingRefused: the DBC cannot be read, or lacks what the mapping names.
    """

    def __init__(self, dbc: Path, mapping: Mapping) -> None:
        self.mapping = mapping
        try:
            database: Any = cantools.database.load_file(dbc)
        except OSError as error:
            raise MappingRefused(f"{dbc}: cannot be read: {error.strerror}") from error
        except Exception as error:
            text = " ".join(str(error).split())
            raise MappingRefused(f"{dbc}: no DBC: {text}") from error
        self._frames: dict[str, Any] = {message.name: message for message in database.messages}
        quantities = mapping.quantities.values()
        named = [name for q in quantities for name in (q.command, q.feedback)]
        for name in (*named, mapping.enable, mapping.state, mapping.heartbeat):
            self._signal(dbc, name)
        self._by_id = {message.frame_id: message for message in self._frames.values()}
        self.beat_last = int(self._beat_signal.maximum or 2**self._beat_signal.length - 1)

    def _signal(self, dbc: Path, name: SignalName) -> Any:
        if name.frame not in self._frames:
            raise MappingRefused(f"{dbc}: there is no frame {name.frame}")
        signals = {signal.name: signal for signal in self._frames[name.frame].signals}
        if name.signal not in signals:
            raise MappingRefused(f"{dbc}: {name.frame} has no signal {name.signal}")
        return signals[name.signal]

    @property
    def _beat_signal(self) -> Any:
        name = self.mapping.heartbeat
        return self._frames[name.frame].get_signal_by_name(name.signal)

    def covers(self, name: SignalName, value: float) -> bool:
        """Return whether a value lies inside the range that the DBC gives a signal."""
        signal = self._frames[name.frame].get_signal_by_name(name.signal)
        low = -float("inf") if signal.minimum is None else signal.minimum
        high = float("inf") if signal.maximum is None else signal.maximum
        return bool(low <= value <= high)

    def encode(self, frame: str, values: dict[str, float]) -> tuple[int, bytes]:
        """Return id and data of a command frame; signals that are not named are 0 or constant."""
        message = self._frames[frame]
        whole: dict[str, float] = {signal.name: 0.0 for signal in message.signals}
        whole |= self.mapping.constants.get(frame, {})
        data = message.encode({**whole, **values}, strict=False)
        return message.frame_id, bytes(data)

    def decode(self, can_id: int, data: bytes) -> dict[tuple[str, str], float]:
        """Return the signals of a frame by (frame, signal); nothing for one that is none."""
        message = self._by_id.get(can_id)
        if message is None or len(data) != message.length:
            return {}
        signals = message.decode(data, decode_choices=False)
        return {(message.name, name): float(value) for name, value in signals.items()}


def load_mapping(path: Path) -> Mapping:
    """Read a mapping.

    Raises:
        MappingRefused: naming the file, the key and the reason.
    """
    try:
        return Mapping.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise MappingRefused(f"{path}: cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise MappingRefused(f"{path}: not YAML: {' '.join(str(error).split())}") from error
    except ValidationError as error:
        raise MappingRefused(f"{path}: {first_problem(error)}") from error
