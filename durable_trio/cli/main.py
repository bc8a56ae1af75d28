"""The commands, put together, and what becomes of the errors that leave them."""

from __future__ import annotations

import signal
import sys
from typing import Any

import click

from durable_trio.cli.callbacks import callback
from durable_trio.cli.control import delete, pause, resume, stop
from durable_trio.cli.diff import diff
from durable_trio.cli.errors import only_error, to_user_error
from durable_trio.cli.executions import history, list_executions, logs, show
from durable_trio.cli.invoke import invoke
from durable_trio.cli.replay import replay
from durable_trio.cli.replay_histories import record
from durable_trio.cli.run import run
from durable_trio.cli.serve import serve


class Commands(click.Group):
    """A group that turns errors the user can do something about into one line."""

    def invoke(self, ctx: click.Context) -> Any:
        """Invoke the command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            # click's own exit code for this is 1, which is for an execution that failed.
            click.echo("Interrupted.", err=True)
            sys.exit(128 + signal.SIGINT)
        except Exception as error:
            reason = only_error(error)
            user_error = to_user_error(reason)
            if user_error is not None:
                raise user_error from error
            if reason is error:
                raise
            # click knows what to do with some of them, a broken pipe for example.
            raise reason from reason.__cause__


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="durable_trio", message="durable-trio %(version)s")
def commands() -> None:
    """Run durable functions on this machine, and look into their executions.

    \b
    Examples:
      durable-trio run examples/order_fulfilment.py:handler --input examples/data/orders.json --name demo
      durable-trio list
      durable-trio show demo
    """


for command in (
    run,
    serve,
    list_executions,
    show,
    history,
    logs,
    callback,
    invoke,
    pause,
    resume,
    stop,
    delete,
):
    commands.add_command(command)
for command in (record, replay, diff):
    commands.add_command(command)
