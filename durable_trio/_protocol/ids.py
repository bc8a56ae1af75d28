"""How every durable operation gets its id.

An id must come out the same on every invocation, whatever order Trio wakes tasks in. So an id is a function
of the operation's place in the program: the enclosing context's id, then a position. Sequential operations
count 1, 2, 3 in program order. Branches and items use their 0-based index, because they start together and
have no order of their own. A branch's index 1 and a first operation at position 1 can never meet: a map or a
parallel owns the namespace under its id for its branches alone.

The id is ``hex(BLAKE2b-512(prefix + "-" + position))[:64]``, and of the bare position at the root. That is
the rule of AWS's Python SDK, so an execution may move between the two. Names, types and the execution's ARN
do not enter: an id says *where*, and identity validation compares *what*.

Running executions store these ids. Treat the rule as a file format.
"""

from __future__ import annotations

from hashlib import blake2b


def operation_id(prefix: str | None, position: int | str) -> str:
    """Return the id of the operation at *position* under *prefix* (None at the root)."""
    place = f"{prefix}-{position}" if prefix is not None else str(position)
    return blake2b(place.encode()).hexdigest()[:64]
