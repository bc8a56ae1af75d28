"""What a workflow does to the outside world, counted: the log that the explorer and the simulator check.

A step's body runs again after a crash between its effect and its record; that is at-least-once, and no bug. Whether
it *matters* only the author of a workflow knows. So the fakes of a test note their effects, with a name and a key
(what was charged, who was mailed), and the log is declared with what has to hold for each name, per key:

- ``at_most_once``: never more than one, whatever crashes: AT_MOST_ONCE steps, and outside systems that are given an
  idempotency key (use that as the key);
- ``at_least_once``: one or more if the run without crashes has one;
- ``exactly_once``: both.

A process that has been killed has no effects: what its bodies note while they unwind is dropped.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, TypeAlias

from durable_trio.exceptions import ValidationError
from durable_trio.testing.crashes_process import current_process

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Hashable, Iterable, Iterator, Sequence

__all__ = ["EffectLog"]

Note: TypeAlias = "tuple[str, Hashable]"


class EffectLog:
    """Counts effects by name and key; see the module's text for what can be declared.

    Args:
        at_most_once, at_least_once, exactly_once: names; each in one of them.

    Raises:
        ValidationError: a name is declared twice.
    """

    def __init__(
        self,
        *,
        at_most_once: Iterable[str] = (),
        at_least_once: Iterable[str] = (),
        exactly_once: Iterable[str] = (),
    ) -> None:
        exactly = _names("exactly_once", exactly_once)
        most, least = _names("at_most_once", at_most_once), _names("at_least_once", at_least_once)
        if twice := (most & least) | (most & exactly) | (least & exactly):
            raise ValidationError(f"effects must be declared once, but {sorted(twice)} are in two places")
        self.at_most = most | exactly
        self.at_least = least | exactly
        self._notes: list[Note] = []
        self.total = 0
        """Stands for what has happened so far, in any order."""
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<EffectLog {len(self._notes)} effects>"

    def note(self, name: str, key: Hashable = None) -> None:
        """Note that the effect *name* happened to *key*; may be called from any thread.

        Raises:
            ValidationError: *name* is not declared.
        """
        if name not in self.at_most and name not in self.at_least:
            raise ValidationError(
                f"name must be one of {sorted(self.at_most | self.at_least)}, not {name!r}: declare it in EffectLog(...)"
            )
        process = current_process.get()
        if process is not None and process.is_dead:
            return
        with self._lock:
            self._notes.append((name, key))
            self.total += hash((name, key))

    def count(self, name: str, key: Hashable = None) -> int:
        """Return how often the effect *name* happened to *key* in the latest run."""
        return self._notes.count((name, key))

    def clear(self) -> None:
        """Forget everything; the explorer and the simulator do so before each run."""
        with self._lock:
            self._notes.clear()
            self.total = 0

    def notes(self) -> Sequence[Note]:
        """Return what happened in the latest run, in order: pairs of name and key."""
        return tuple(self._notes)

    def __len__(self) -> int:
        return len(self._notes)

    def problems(self, notes: Counter[Note], reference: Counter[Note]) -> Iterator[str]:
        """Say what is wrong with how often things happened, where *reference* is without crashes."""
        for (name, key), count in notes.items():
            if name in self.at_most and count > 1:
                yield f"effect {_shown(name, key)} happened {count} times; at most once is declared"
        for name, key in reference:
            if name in self.at_least and not notes[name, key]:
                yield f"effect {_shown(name, key)} never happened; at least once is declared"


def _shown(name: str, key: Hashable) -> str:
    return repr(name) if key is None else f"{name!r} of {key!r}"


def _names(argument: str, names: Iterable[str]) -> set[str]:
    if isinstance(names, str):
        raise ValidationError(f"{argument} must be several names, not the text {names!r}")
    return set(names)
