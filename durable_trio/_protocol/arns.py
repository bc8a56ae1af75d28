"""The name of a durable execution: its ARN.

``arn:aws:lambda:<region>:<account>:function:<function>:<version>/durable-execution/<name>/<id>``. The last
segment is the id of the EXECUTION operation; the SDK finds its input by it.
"""

from __future__ import annotations

from functools import lru_cache

from durable_trio._protocol import limits
from durable_trio._protocol.value_class import frozen_dataclass


@frozen_dataclass(frozen=True, slots=True)
class ExecutionArn:
    """The parts of an execution's ARN that tell one execution from another."""

    region: str
    account: str
    function_name: str
    name: str
    id: str
    version: str = "$LATEST"

    def __str__(self) -> str:
        return f"{self.function_arn}:{self.version}/durable-execution/{self.name}/{self.id}"

    @property
    def function_arn(self) -> str:
        """The ARN of the function, without its version."""
        return f"arn:aws:lambda:{self.region}:{self.account}:function:{self.function_name}"


@lru_cache(maxsize=256)  # every request of a function has one, and it has thousands
def parse_arn(text: str) -> ExecutionArn | None:
    """Read an execution's ARN; None if *text* is not one."""
    match = limits.EXECUTION_ARN.fullmatch(text)
    if match is None:
        return None
    return ExecutionArn(
        region=match["region"],
        account=match["account"],
        function_name=match["function"],
        name=match["name"],
        id=match["id"],
        version=match["version"],
    )
