"""What ``durable-trio serve`` prints.

Lines are written by a thread: a terminal that is stopped, or a pipe that nobody reads, must not stop the service.
Lines that pile up meanwhile are left out in the end, and counted.
"""

from __future__ import annotations

from itertools import cycle
from typing import TYPE_CHECKING, Final

import click
import trio

from durable_trio._protocol.arns import parse_arn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from durable_trio.cli.serve_config import ServedFunction
    from durable_trio.local.workers.registering import PrintedLine

_MAX_WAITING_LINES: Final = 10_000
_COLORS: Final = ("cyan", "yellow", "green", "magenta", "blue")


class Printer:
    """Prints lines to standard output. ``run`` has to run."""

    def __init__(self, function_names: Sequence[str]) -> None:
        self._colors = dict(zip(function_names, cycle(_COLORS), strict=False))
        self._send, self._receive = trio.open_memory_channel[str](_MAX_WAITING_LINES)
        self._lost = 0

    def __repr__(self) -> str:
        return f"<Printer {self._send.statistics().current_buffer_used} lines waiting>"

    def note(self, text: str) -> None:
        """Print a line of the service's own."""
        try:
            self._send.send_nowait(text)
        except trio.WouldBlock:
            self._lost += 1

    def line(self, line: PrintedLine) -> None:
        """Print what a function printed, with its name and that of the execution in front of each line."""
        arn = None if line.execution_arn is None else parse_arn(line.execution_arn)
        who = line.function_name if arn is None else f"{line.function_name}/{arn.name}"
        prefix = click.style(f"{who} | ", fg=self._colors.get(line.function_name))
        for text in line.text.split("\n"):
            self.note(f"{prefix}{text}")

    async def run(self) -> None:
        """Print until cancelled."""
        while True:
            lines = [await self._receive.receive()]
            while True:
                try:
                    lines.append(self._receive.receive_nowait())
                except trio.WouldBlock:
                    break
            if self._lost:
                lines.append(f"({self._lost} lines more than could be printed)")
                self._lost = 0
            await trio.to_thread.run_sync(click.echo, "\n".join(lines), abandon_on_cancel=True)


def banner(
    functions: Sequence[ServedFunction], *, url: str, db: str, region: str, how_time_goes: str
) -> list[str]:
    """Return what is said at the start: what is served, where, and what to do next."""
    width = max(len(function.name) for function in functions)
    first = functions[0]
    name = f"'{first.name}:$LATEST'" if first.is_durable else first.name
    return [
        f"durable-trio serves {len(functions)} function{'s' * (len(functions) > 1)} at {url}",
        f"  state in {db}{how_time_goes}",
        "",
        *(
            f"  {function.name:<{width}}  {'durable' if function.is_durable else 'plain  '}  {function.where}"
            for function in functions
        ),
        "",
        "Invoke one of them:",
        f"  durable-trio invoke {first.name} --endpoint-url {url} --input-json '{{}}'",
        f"  aws lambda invoke --endpoint-url {url} --region {region} --function-name {name} \\",
        "      --payload '{}' --cli-binary-format raw-in-base64-out /dev/stdout",
        "",
    ]
