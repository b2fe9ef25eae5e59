"""Frozen dataclasses that are as quick to make as open ones.

A frozen dataclass fills its slots by ``object.__setattr__``, at some 0.1 µs a field; a tick of the
guardian makes dozens of such objects. Here the new object is for the time of its ``__init__`` of an
open class with the same slots, which takes plain assignments, and of its own class from then on:
frozen to everybody who ever sees it. What else a dataclass has (equality, hash, text) is untouched.
"""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import Any, TypeVar

T = TypeVar("T")


def quick(frozen: type[T]) -> type[T]:
    """Return the frozen, slotted dataclass with an ``__init__`` of plain assignments.

    Args:
        frozen: its own fields only, all of them in ``__init__``, and nothing after it.

    Raises:
        TypeError: it has bases, ``__post_init__``, or fields by keyword only or outside
            ``__init__``.
    """
    given = fields(frozen)  # type: ignore[arg-type]
    plain = all(each.init and not each.kw_only for each in given)
    if frozen.__bases__ != (object,) or hasattr(frozen, "__post_init__") or not plain:
        raise TypeError(f"{frozen.__name__} has more than plain fields")
    names: dict[str, Any] = {"_set": object.__setattr__, "_frozen": frozen, "_missing": MISSING}
    names["_open"] = type(frozen.__name__, (), {"__slots__": tuple(each.name for each in given)})
    parameters, lines = ["self"], ["_set(self, '__class__', _open)"]
    for each in given:
        name, parameter, value = each.name, each.name, each.name
        if each.default is not MISSING:
            names[f"_default_{name}"] = each.default
            parameter = f"{name}=_default_{name}"
        elif each.default_factory is not MISSING:
            names[f"_make_{name}"] = each.default_factory
            parameter = f"{name}=_missing"
            value = f"_make_{name}() if {name} is _missing else {name}"
        parameters.append(parameter)
        lines.append(f"self.{name} = {value}")
    lines.append("self.__class__ = _frozen")
    source = f"def __init__({', '.join(parameters)}):\n  " + "\n  ".join(lines)
    exec(source, names)  # noqa: S102 - as dataclasses itself does; of field names only
    made = names["__init__"]
    made.__qualname__, made.__module__ = f"{frozen.__qualname__}.__init__", frozen.__module__
    made.__annotations__ = frozen.__init__.__annotations__
    frozen.__init__ = made  # type: ignore[method-assign]
    return frozen
