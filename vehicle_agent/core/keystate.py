"""The whole inner state of a supervisor as plain values, and back: where a part of a log begins.

The walk knows no class by name: it takes every attribute of the objects of this project's pure
packages, so that a new attribute is never forgotten. What belongs to the setup of the boot is
named and not copied. Things that can change stay shared where they are; others are told by value.
"""

from __future__ import annotations

import importlib
import json
from collections import Counter, OrderedDict, deque
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any

from pydantic import BaseModel

from protocol.dbw.matrix import BY_ID, FrameSpec
from vehicle_agent.core.supervisor import Setup, Supervisor

PACKAGES = ("protocol.", "vehicle_agent.core.")
"""Whose classes a key state may name: none of them touches anything outside of itself."""
_PLAIN = (str, int, float, bool, type(None))
_CONTAINERS: dict[str, type[Any]] = {
    kind.__name__: kind for kind in (dict, OrderedDict, Counter, list, tuple, set, frozenset, deque)
}
_MAPPINGS = (dict, OrderedDict, Counter)


class KeyStateError(ValueError):
    """A state that cannot be written down, or one that cannot be read."""


def freeze(supervisor: Supervisor, setup: Setup) -> Any:
    """Return the state of ``supervisor`` as values that JSON can hold.

    Args:
        setup: what it was made of.

    Raises:
        KeyStateError: it holds something that cannot be written down, with its place.
    """
    return _Freezer(_given(setup)).value(supervisor, "supervisor")


def thaw(state: Any, setup: Setup) -> Supervisor:
    """Return a supervisor in the state that :func:`freeze` wrote down.

    Raises:
        KeyStateError: it is none, or of code whose classes are others.
    """
    try:
        made = _Thawer(_given(setup)).value(state)
    except (AttributeError, ImportError, KeyError, TypeError, ValueError, IndexError) as error:
        raise KeyStateError(f"key state of other code: {error}") from error
    if not isinstance(made, Supervisor):
        raise KeyStateError("key state is not a supervisor's")
    return made


def _given(setup: Setup) -> dict[str, Any]:
    return {
        "setup": setup,
        "key": setup.key,
        "trust": setup.trust,
        "limits": setup.limits,
        "timing": setup.timing,
        "adapter": setup.adapter,
    }


def _attributes(thing: object) -> Iterator[str]:
    """Names of the attributes that a thing has now, in the order of its class or of its making."""
    for kind in type(thing).__mro__:
        for name in getattr(kind, "__slots__", ()):
            if name not in ("__dict__", "__weakref__") and hasattr(thing, name):
                yield name
    yield from getattr(thing, "__dict__", {})


def _changes(thing: object, kind: type[Any]) -> bool:
    """Whether a thing can change, so that it matters where it is shared."""
    if kind is frozenset or isinstance(thing, (tuple, BaseModel)):
        return False
    parameters = getattr(kind, "__dataclass_params__", None)
    return parameters is None or not parameters.frozen


class _Freezer:
    def __init__(self, given: Mapping[str, Any]) -> None:
        self._names = {id(thing): name for name, thing in given.items() if thing is not None}
        self._seen: dict[int, int] = {}

    def value(self, thing: Any, place: str) -> Any:
        kind = type(thing)
        if kind in _PLAIN:
            return thing
        if kind is bytes:
            return ["bytes", thing.hex()]
        name = self._names.get(id(thing))
        if name is not None:
            return ["given", name]
        if isinstance(thing, Enum):
            return ["enum", _class_name(kind, place), thing.name]
        if kind is FrameSpec:
            return ["frame", thing.can_id]
        if _changes(thing, kind):
            number = self._seen.get(id(thing))
            if number is not None:
                return ["seen", number]
            self._seen[id(thing)] = len(self._seen)
        return self._composed(thing, kind, place)

    def _composed(self, thing: Any, kind: type[Any], place: str) -> Any:
        if kind in _MAPPINGS:
            rows = [
                [self.value(key, place), self.value(item, f"{place}[{key!r}]")]
                for key, item in thing.items()
            ]
            return [kind.__name__, rows]
        if kind is deque:
            return ["deque", self._items(thing, place), thing.maxlen]
        if kind in (set, frozenset):
            return [kind.__name__, self._items(sorted(thing), place)]
        if kind.__name__ in _CONTAINERS and kind is _CONTAINERS[kind.__name__]:
            return [kind.__name__, self._items(thing, place)]
        if isinstance(thing, BaseModel):
            return ["model", _class_name(kind, place), thing.model_dump(mode="json")]
        named = _class_name(kind, place)
        names = getattr(kind, "_fields", None) or _attributes(thing)
        return [
            "object",
            named,
            {name: self.value(getattr(thing, name), f"{place}.{name}") for name in names},
        ]

    def _items(self, things: Any, place: str) -> list[Any]:
        if all(type(thing) is int for thing in things):
            return list(things)
        return [self.value(thing, f"{place}[{index}]") for index, thing in enumerate(things)]


def _class_name(kind: type[Any], place: str) -> str:
    if not kind.__module__.startswith(PACKAGES) or "." in kind.__qualname__:
        raise KeyStateError(f"{place}: a {kind.__module__}.{kind.__qualname__} cannot be kept")
    return f"{kind.__module__}:{kind.__name__}"


def _class(named: str) -> type[Any]:
    module, _, name = named.partition(":")
    if not module.startswith(PACKAGES):
        raise KeyStateError(f"key state names {named}")
    kind = getattr(importlib.import_module(module), name)
    if not isinstance(kind, type) or kind.__module__ != module:
        raise KeyStateError(f"key state names {named}, which is no class")
    return kind


class _Thawer:
    def __init__(self, given: Mapping[str, Any]) -> None:
        self._given = given
        self._made: list[Any] = []

    def value(self, state: Any) -> Any:
        if not isinstance(state, list):
            return state
        kind, content = state[0], state[1]
        match kind:
            case "bytes":
                return bytes.fromhex(content)
            case "given":
                return self._given[content]
            case "enum":
                return _class(content)[state[2]]
            case "frame":
                return BY_ID[content]
            case "seen":
                return self._made[content]
            case "object":
                return self._object(_class(content), state[2])
            case "model":
                model: Any = _class(content)
                return model.model_validate_json(json.dumps(state[2]))
            case "tuple" | "frozenset":
                return _CONTAINERS[kind](map(self.value, content))
        made = deque(maxlen=state[2]) if kind == "deque" else _CONTAINERS[kind]()
        self._made.append(made)
        self._fill(made, content)
        return made

    def _fill(self, made: Any, content: list[Any]) -> None:
        if isinstance(made, dict):
            for key, item in content:
                name = self.value(key)
                made[name] = self.value(item)
        elif isinstance(made, set):
            made.update(map(self.value, content))
        else:
            made.extend(map(self.value, content))

    def _object(self, kind: type[Any], fields: Mapping[str, Any]) -> Any:
        if issubclass(kind, tuple):
            return kind(**{name: self.value(state) for name, state in fields.items()})
        made = object.__new__(kind)
        if _changes(made, kind):
            self._made.append(made)
        for name, state in fields.items():
            object.__setattr__(made, name, self.value(state))
        return made
