"""The calls that give another value on every replay, and what to use instead.

A table, read once. Functions written in C are known by the function itself, those written in Python by their code.
The methods of ``random.Random`` are a special case: on a generator of the user's own, with its own seed, they are
fine; on the hidden global one, and on one that asks the system, they are not.

Not in it, on purpose: ``time.perf_counter`` and the clocks of CPU time, which measure and decide nothing.
"""

from __future__ import annotations

import datetime as dt
import os
import random
import secrets
import time
import uuid
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import trio

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import CodeType, FrameType

_TIME: Final = "use ctx.now(), which gives the same on every replay, or take the time in a step"
_RANDOM: Final = "use ctx.random(), whose seed belongs to the execution, or choose in a step"
_UUID: Final = "use ctx.uuid(), or make it in a step"
_ENTROPY: Final = "do it in a step: what a step returns is recorded"


@dataclass(frozen=True, slots=True)
class Suspect:
    """A call to look out for: its dotted *name*, and the *remedy*."""

    name: str
    remedy: str


_C_FUNCTIONS: Final[tuple[tuple[str, Any, str], ...]] = (
    ("time.time", time.time, _TIME),
    ("time.time_ns", time.time_ns, _TIME),
    ("time.monotonic", time.monotonic, _TIME),
    ("time.monotonic_ns", time.monotonic_ns, _TIME),
    ("datetime.datetime.now", dt.datetime.now, _TIME),
    ("datetime.datetime.utcnow", getattr(dt.datetime, "utcnow", None), _TIME),
    ("datetime.datetime.today", dt.datetime.today, _TIME),
    ("datetime.date.today", dt.date.today, _TIME),
    ("os.urandom", os.urandom, _ENTROPY),
    ("os.getrandom", getattr(os, "getrandom", None), _ENTROPY),
    ("random.random", random.random, _RANDOM),
    ("random.getrandbits", random.getrandbits, _RANDOM),
)

_PYTHON_FUNCTIONS: Final[tuple[tuple[str, Any, str], ...]] = (
    ("uuid.uuid1", uuid.uuid1, _UUID),
    ("uuid.uuid4", uuid.uuid4, _UUID),
    ("uuid.uuid6", getattr(uuid, "uuid6", None), _UUID),
    ("uuid.uuid7", getattr(uuid, "uuid7", None), _UUID),
    ("secrets.token_bytes", secrets.token_bytes, _ENTROPY),
    ("secrets.token_hex", secrets.token_hex, _ENTROPY),
    ("secrets.token_urlsafe", secrets.token_urlsafe, _ENTROPY),
    ("secrets.randbelow", secrets.randbelow, _ENTROPY),
    ("trio.current_time", trio.current_time, _TIME),
)

_METHODS: Final = tuple(
    name
    for name in (
        *("betavariate", "binomialvariate", "choice", "choices", "expovariate", "gammavariate", "gauss"),
        *("getrandbits", "lognormvariate", "normalvariate", "paretovariate", "randbytes", "randint"),
        *("random", "randrange", "sample", "shuffle", "triangular", "uniform", "vonmisesvariate"),
        "weibullvariate",
    )
    if hasattr(random.Random, name)
)

_GLOBAL: Final = getattr(random.random, "__self__", None)
"""The generator behind the functions of the module."""


def _code_of(function: Any) -> CodeType | None:
    code: CodeType | None = getattr(function, "__code__", None)
    return code


def _c_calls() -> Iterator[tuple[Any, Suspect]]:
    for name, function, remedy in _C_FUNCTIONS:
        if function is not None:
            yield function, Suspect(name, remedy)


def _python_calls() -> Iterator[tuple[CodeType, Callable[[FrameType], Suspect | None]]]:
    for name, function, remedy in _PYTHON_FUNCTIONS:
        code = _code_of(function)
        if code is not None:
            yield code, partial(_always, Suspect(name, remedy))
    for class_ in (random.Random, random.SystemRandom):
        for name in _METHODS:
            code = _code_of(vars(class_).get(name))
            if code is not None:
                yield code, partial(_of_generator, name)


def _always(suspect: Suspect, frame: FrameType) -> Suspect:
    del frame
    return suspect


def _of_generator(method: str, frame: FrameType) -> Suspect | None:
    """Judge a call of a generator's method by whose it is."""
    generator = frame.f_locals.get("self")
    if generator is _GLOBAL:
        return Suspect(f"random.{method}", _RANDOM)
    if isinstance(generator, random.SystemRandom):
        return Suspect(f"random.SystemRandom.{method}", _ENTROPY)
    return None


C_CALLS: Final = dict(_c_calls())
"""By the function that is called; two objects for one method of one class are equal."""
PYTHON_CALLS: Final = dict(_python_calls())
"""By the code that is entered; what to ask about its frame."""

NAMES: Final = frozenset(
    [suspect.name for suspect in C_CALLS.values()]
    + [name for name, function, _ in _PYTHON_FUNCTIONS if function is not None]
    + [f"random.{method}" for method in _METHODS]
    + [f"random.SystemRandom.{method}" for method in _METHODS]
)
"""Every name that the sentinel may report."""
