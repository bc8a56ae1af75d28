"""Invocations that begin late: they find more done than the service knew when it made them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import trio

from durable_trio._protocol.envelope import decode_invocation, encode_invocation


class Late:
    """A handler whose invocations, from the second on, begin *seconds* late, with the state as it is then."""

    def __init__(self, handler: Any, seconds: float) -> None:
        self._handler = handler
        self._seconds = seconds
        self._invocations = 0

    async def invoke(self, event: Any, lambda_context: Any, *, client: Any) -> Any:
        """Hold the invocation up, then run it."""
        self._invocations += 1
        if self._invocations > 1:
            await trio.sleep(self._seconds)
            given = decode_invocation(event)
            page = await client.get_state(
                durable_execution_arn=given.durable_execution_arn,
                checkpoint_token=given.checkpoint_token,
                marker="",
                max_items=1000,
            )
            event = encode_invocation(replace(given, operations=tuple(page.operations)))
        return await self._handler.invoke(event, lambda_context, client=client)
