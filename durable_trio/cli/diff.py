"""``durable-trio diff``: two executions side by side."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from rich.text import Text

from durable_trio.cli.diff_operations import Change, Difference, differences
from durable_trio.cli.errors import EXIT_FAILED, NotFoundError
from durable_trio.cli.json_text import document
from durable_trio.cli.options import json_option
from durable_trio.cli.place import place_option
from durable_trio.cli.render import stdout_console
from durable_trio.cli.replay_histories import history_at, read_history

if TYPE_CHECKING:
    from durable_trio.cli.place import Place
    from durable_trio.testing.histories import History

_MARKS: Final = {
    Change.SAME: (" ", "dim"),
    Change.CHANGED: ("~", "yellow"),
    Change.ONLY_FIRST: ("-", "red"),
    Change.ONLY_SECOND: ("+", "green"),
}
_SHOWN: Final = 200


@click.command()
@click.argument("first", metavar="FIRST")
@click.argument("second", metavar="SECOND")
@click.option("--full", is_flag=True, help="Show also what is the same.")
@json_option
@place_option
def diff(first: str, second: str, full: bool, as_json: bool, place: Place) -> None:
    """Compare two executions by their operations; exit code 1 if they differ.

    FIRST and SECOND are files with recorded histories, or names, ids or ARNs of executions.
    Operations are aligned by id, that is by their place in the program.

    \b
    Example:
      durable-trio diff tests/histories/order.json demo
    """
    found = differences(_history(first, place), _history(second, place))
    changed = [each for each in found if each.change is not Change.SAME]
    if as_json:
        click.echo(document({"Same": not changed, "Differences": [_members(each) for each in changed]}))
    else:
        console = stdout_console()
        for each in found if full else changed:
            for line in _lines(each):
                console.print(line, soft_wrap=True)
        if not changed:
            console.print(f"the same: {len(found) - 1} operations")
    if changed:
        sys.exit(EXIT_FAILED)


def _history(source: str, place: Place) -> History:
    """Return the history that *source* names: a file's, or else an execution's."""
    if Path(source).is_file():
        return read_history(Path(source))
    if source.endswith(".json"):
        raise NotFoundError(f"there is no file {source}")
    return history_at(place, source)


def _lines(difference: Difference) -> list[Text]:
    mark, style = _MARKS[difference.change]
    indent = "  " * (len(difference.path) - 1)
    title = f"{mark} {indent}{difference.path[-1]}"
    lines = [Text.assemble((title, style), (f"  {difference.kind}", "dim"))]
    for member, (one, other) in difference.members.items():
        lines.append(
            Text.assemble((f"    {indent}{member}: ", "dim"), _shown(one), (" -> ", "dim"), _shown(other))
        )
    return lines


def _shown(text: str | None) -> str:
    if text is None:
        return "none"
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]}... ({len(line)} characters)"


def _members(difference: Difference) -> dict[str, Any]:
    return {
        "Id": difference.id,
        "Path": list(difference.path),
        "Kind": difference.kind,
        "Change": difference.change.name,
        "Members": {key: list(values) for key, values in difference.members.items()},
    }
