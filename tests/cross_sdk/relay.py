"""Two SDKs that take turns: one begins an execution, the other one goes on after a suspension."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from differential.aws_bridge import AwsHandler
from differential.running import run_recorded

import durable_trio
from durable_trio import aws_python_serdes

if TYPE_CHECKING:
    from collections.abc import Callable

    from differential.pair import Pair
    from support.runs import Run

    from durable_trio.clients import ServiceClient


class Relay:
    """A handler whose invocations are run by two handlers in turn.

    *turns*: which of the two runs the first invocation, the second, ...; the last one runs the rest.
    """

    def __init__(self, handlers: tuple[Any, Any], turns: tuple[int, ...]) -> None:
        self._handlers = handlers
        self._turns = turns
        self.count = 0

    async def invoke(self, event: Any, lambda_context: Any, *, client: ServiceClient) -> Any:
        """Run one invocation with the SDK whose turn it is."""
        turn = self._turns[min(self.count, len(self._turns) - 1)]
        self.count += 1
        return await self._handlers[turn].invoke(event, lambda_context, client=client)


AWS, OURS = 0, 1


async def relayed(pair: type[Pair], decorate: Callable[..., Any], turns: tuple[int, ...]) -> Run:
    """Run the two halves of *pair* as one execution."""
    ours = durable_trio.durable_execution(pair().ours, serdes=aws_python_serdes())
    relay = Relay((AwsHandler(pair().aws, decorate), ours), turns)
    run = await run_recorded(relay, answers=pair.answers, fails_at=None)
    assert relay.count >= len(set(turns)), "nothing was handed over: the workflow did not suspend"
    return run
