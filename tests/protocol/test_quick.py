"""A quick frozen dataclass is the dataclass that it was: values, defaults, refusals, frozenness."""

from __future__ import annotations

import copy
import inspect
import pickle
from dataclasses import FrozenInstanceError, dataclass, field, replace
from typing import Any

import pytest

from protocol.quick import quick


@dataclass(frozen=True, slots=True)
class Slow:
    a: int
    b: float = 2.0
    c: tuple[int, ...] = ()
    d: dict[str, int] = field(default_factory=dict)


@quick
@dataclass(frozen=True, slots=True)
class Quick:
    a: int
    b: float = 2.0
    c: tuple[int, ...] = ()
    d: dict[str, int] = field(default_factory=dict)


@quick
@dataclass(frozen=True, slots=True)
class Hashed:
    a: int
    b: str = "b"


@pytest.mark.parametrize(
    ("values", "named"),
    [((1,), {}), ((1, 3.0), {}), ((1,), {"c": (4,)}), ((), {"a": 1, "d": {"x": 1}})],
)
def test_made__is_as_the_dataclass_says(values: tuple[Any, ...], named: dict[str, Any]) -> None:
    made, wanted = Quick(*values, **named), Slow(*values, **named)
    assert repr(made).removeprefix("Quick") == repr(wanted).removeprefix("Slow")
    assert type(made) is Quick
    assert made == Quick(*values, **named)


def test_default_factory__makes_each_its_own() -> None:
    assert Quick(1).d is not Quick(1).d


@pytest.mark.parametrize("values", [(), (1, 2.0, (), {}, 5)])
def test_wrong_number_of_values__is_refused(values: tuple[Any, ...]) -> None:
    with pytest.raises(TypeError, match=r"Quick\.__init__\(\)"):
        Quick(*values)


def test_unknown_name__is_refused() -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'e'"):
        Quick(1, e=2)  # type: ignore[call-arg]


@pytest.mark.parametrize("name", ["a", "b", "other"])
def test_made__is_frozen(name: str) -> None:
    made = Quick(1)
    with pytest.raises((FrozenInstanceError, TypeError)):
        setattr(made, name, 5)
    with pytest.raises((FrozenInstanceError, TypeError)):
        delattr(made, name)
    assert made == Quick(1)


def test_made__is_equal_hashed_copied_and_sent_as_before() -> None:
    made = Hashed(1)
    assert hash(made) == hash(Hashed(1, "b")) != hash(Hashed(2))
    assert replace(made, a=2) == Hashed(2)
    assert copy.copy(made) == copy.deepcopy(made) == pickle.loads(pickle.dumps(made)) == made


def test_signature__is_that_of_the_fields() -> None:
    assert list(inspect.signature(Quick).parameters) == ["a", "b", "c", "d"]


@dataclass(frozen=True, slots=True)
class AfterInit:
    a: int

    def __post_init__(self) -> None:
        raise AssertionError


@dataclass(frozen=True, slots=True)
class ByName:
    a: int = field(kw_only=True)


@dataclass(frozen=True, slots=True)
class Reckoned:
    a: int = field(init=False, default=0)


@dataclass(frozen=True, slots=True)
class Child(Slow):
    e: int = 0


@pytest.mark.parametrize("kind", [AfterInit, ByName, Reckoned, Child])
def test_class_with_more_than_plain_fields__is_refused(kind: type) -> None:
    with pytest.raises(TypeError, match=f"{kind.__name__} has more than plain fields"):
        quick(kind)
