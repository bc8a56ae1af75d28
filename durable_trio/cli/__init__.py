"""The command line: ``durable-trio``, also ``python -m durable_trio``.

It runs a handler on the local durable execution service, and looks into the database that the service keeps:
one SQLite file, shared by as many terminals as you like. ``run`` and ``serve`` are the commands that drive executions;
the others ask and exit. What they ask is a file, an endpoint (``--endpoint-url``) or AWS (``--aws``): see ``place`` for the
options and ``service`` for the seam between the commands and those places.

Every command follows the same rules. A mistake of the user's is one line, ``Error: ...``, on stderr. With
``--json`` exactly one JSON document is written to stdout, in AWS's member names where AWS has the shape, and
everything else goes to stderr. The exit code is 0 (fine), 1 (the execution failed, was stopped or timed out),
2 (the command was used wrongly or the request was refused), 3 (no such execution, callback or database), or
128 plus the number of the signal that interrupted it (Ctrl-C: 130).

Inside, ``tree`` is the model of an execution, fed with changes; ``outline`` decides which of it is worth a
line; ``render`` gives those lines colour; ``plain`` and ``live`` are the two ways to watch a run. The first
two are pure, so that what a map of many thousand items looks like can be tested without a terminal.
"""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line, and exit with its code.

    Raises:
        SystemExit: always. Code 2 if the extra ``[local]`` is not installed, after saying so.
    """
    try:
        from durable_trio.cli.main import commands
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in {"click", "rich"}:
            raise
        sys.stderr.write("durable-trio needs more packages: pip install 'durable_trio[local]'\n")
        sys.exit(2)
    commands(prog_name="durable-trio")
