"""What the runtime must keep to in what it sends, whatever it is that a workflow comes to.

A service may be lenient where an SDK must not be: AWS's takes an update of an operation whose parent has ended, for
branches that were cut off. So the tools look for themselves, at the calls as the runtime makes them:

- one call at a time in an invocation, each with a token of its own;
- at most 250 updates in a call;
- no update of an operation after the end of the context that it is in;
- the end of the execution last.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from durable_trio._protocol import limits
from durable_trio._protocol.operation import OperationAction, OperationType

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from durable_trio._protocol.operation import OperationUpdate

_ENDS = frozenset({OperationAction.SUCCEED, OperationAction.FAIL})


class ExecutionRules:
    """Checks the calls of one run, of all its executions; ``problems`` says what was wrong."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self._ended: set[tuple[str, str]] = set()

    def for_invocation(self, execution_arn: str) -> InvocationRules:
        """Return the rules for the calls of one more invocation."""
        return InvocationRules(self, execution_arn)

    def check_updates(self, execution_arn: str, updates: Sequence[OperationUpdate]) -> set[tuple[str, str]]:
        """Check one request; return the contexts that it ends, to be ``stored`` when it has been."""
        if len(updates) > limits.MAX_UPDATES_PER_CHECKPOINT:
            self.problems.append(f"a checkpoint had {len(updates)} updates")
        ended: set[tuple[str, str]] = set()
        for index, update in enumerate(updates):
            parent = (execution_arn, update.parent_id or "")
            if parent in ended or parent in self._ended:
                name = update.name or update.id[:8]
                self.problems.append(
                    f"{update.type} {update.action} of {name!r} was sent after the end of its parent"
                )
            if update.type is OperationType.CONTEXT and update.action in _ENDS:
                ended.add((execution_arn, update.id))
            if update.type is OperationType.EXECUTION and index != len(updates) - 1:
                self.problems.append("something was sent after the end of the execution")
        return ended

    def stored(self, ended: set[tuple[str, str]]) -> None:
        """Note that contexts have ended."""
        self._ended |= ended


class InvocationRules:
    """Checks the calls of one invocation."""

    def __init__(self, rules: ExecutionRules, execution_arn: str) -> None:
        self._rules = rules
        self._arn = execution_arn
        self._tokens: set[str] = set()
        self._in_flight = 0

    @contextmanager
    def call(self, token: str, updates: Sequence[OperationUpdate]) -> Iterator[None]:
        """Check a call, which is made in the block; if it fails there, nothing is known to be stored."""
        problems = self._rules.problems
        if self._in_flight:
            problems.append("two checkpoint calls were in flight at once")
        if token in self._tokens:
            problems.append("a checkpoint token was used twice")
        self._tokens.add(token)
        ended = self._rules.check_updates(self._arn, updates)
        self._in_flight += 1
        try:
            yield
        finally:
            self._in_flight -= 1
        self._rules.stored(ended)
