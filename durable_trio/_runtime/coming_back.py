"""Whether the actors that an answer has released come back at once, with something to wait for.

When an answer comes, some actors may have been waiting for the next call already. If the released ones come back as soon
as they run (their steps are quick), both had better share the next call: it is sent when everything that can run has run.
If they do not (their steps take their time: a request to somebody, a sleep), letting them run first only keeps the others
waiting; what they leave behind meanwhile, an end and the next START, may go with the call after that. Then the next call
is sent at once, and what the program costs is hidden behind it.

Which of the two holds is not known beforehand, so it is observed, and while calls are sent at once, now and then observed again.
It decides about waiting alone: in which order updates are recorded, and what is waited for, stays the same.
"""

from __future__ import annotations

from typing import Final

OBSERVED_EVERY: Final = 8
"""How many calls are sent at once, at most, before it is observed again."""


class ComingBack:
    """What one writer has observed."""

    __slots__ = ("_come_back", "_left", "_released", "_sent")

    def __init__(self) -> None:
        self._come_back = True
        self._released = 0  # how many actors the last answer has released ...
        self._left = 0  # ... and how many were left waiting for the next
        self._sent = 0

    def released(self, count: int, *, left: int) -> None:
        """Take note of an answer that has released *count* actors, while *left* wait for the next."""
        self._released, self._left = count, left

    def may_be_missed(self, waiting: int) -> bool:
        """Tell whether the next call, for which *waiting* actors wait, need not wait for those that were released.

        Never if they are many more than those who wait.
        """
        if self._come_back or not waiting or 2 * waiting < self._released:
            return False
        self._sent += 1
        return self._sent % OBSERVED_EVERY > 0

    def observe(self, waiting: int) -> None:
        """Take note that everything that can run has run, and that *waiting* actors wait now."""
        if self._released:
            self._come_back = 2 * (waiting - self._left) >= self._released
            self._released = 0
