"""``durable-trio serve``: a local AWS Lambda for durable functions."""

from __future__ import annotations

from pathlib import Path

import click

from durable_trio.cli.errors import UserError
from durable_trio.cli.options import DEFAULT_DATABASE


@click.command()
@click.argument("handlers", metavar="[[NAME=]HANDLER]...", nargs=-1)
@click.option(
    "--plain",
    "plain_handlers",
    multiple=True,
    metavar="[NAME=]HANDLER",
    help="A function that is not durable. May be repeated.",
)
@click.option(
    "--config",
    "config_path",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="A TOML file with functions; see docs/serve.md.",
)
@click.option("--host", help="The address to listen on.  [default: 127.0.0.1]")
@click.option(
    "--allow-host",
    "allowed_hosts",
    multiple=True,
    metavar="NAME",
    help="A name of this machine that clients use, beside localhost and addresses. May be repeated.",
)
@click.option(
    "--port", type=click.IntRange(0, 65_535), help="The port to listen on; 0 is any.  [default: 9014]"
)
@click.option(
    "--db",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar="DURABLE_TRIO_DB",
    show_envvar=True,
    help=f"The file that holds the executions.  [default: {DEFAULT_DATABASE}]",
)
@click.option("--region", help="The AWS region that ARNs and functions are told.  [default: us-east-1]")
@click.option(
    "--workers",
    type=click.IntRange(1),
    help="How many processes each function has at most, over the file.  [default: 10]",
)
@click.option("--reload", "is_reloading", is_flag=True, help="Use new code as soon as it is saved.")
@click.option(
    "--reload-dir",
    "reload_folders",
    multiple=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Another directory with code to watch. May be repeated.",
)
@click.option("--virtual-time", is_flag=True, help="Jump to the next timer whenever nothing can run.")
@click.option("--speed", type=float, metavar="FACTOR", help="Let time run faster whenever nothing can run.")
def serve(
    handlers: tuple[str, ...],
    plain_handlers: tuple[str, ...],
    config_path: Path | None,
    host: str | None,
    allowed_hosts: tuple[str, ...],
    port: int | None,
    db: Path | None,
    region: str | None,
    workers: int | None,
    is_reloading: bool,
    reload_folders: tuple[Path, ...],
    virtual_time: bool,
    speed: float | None,
) -> None:
    """Serve functions as AWS Lambda does.

    HANDLER is file.py:handler or package.module:handler. Any handler of Lambda will do, of whichever SDK; each runs in processes of its own. boto3, the AWS CLI and the
    AWS SDKs find them at the endpoint that is printed. The state is in one file: end it in any way, start it again,
    and all executions go on.

    \b
    Examples:
      durable-trio serve app.py:handler
      durable-trio serve orders=app.py:handler --plain stock=stock.py:handler --reload
      durable-trio serve --config functions.toml --port 4000
    """
    # Here, not above: starlette and the like are only needed by this command.
    from durable_trio.cli.serve_config import ServeFile, from_command_line, read_file, with_workers
    from durable_trio.cli.serve_run import ServeRequest, run_until_signal

    file = ServeFile() if config_path is None else read_file(config_path)
    functions = (
        *file.functions,
        *(from_command_line(text, is_durable=True, folder=Path()) for text in handlers),
        *(from_command_line(text, is_durable=False, folder=Path()) for text in plain_handlers),
    )
    if not functions:
        raise UserError("there is nothing to serve: name a handler, like app.py:handler, or a --config")
    given = {"db": db, "host": host, "port": port, "region": region, "speed": speed}
    options = {**file.service, **{key: value for key, value in given.items() if value is not None}}
    if virtual_time:
        options["virtual_time"] = True
    if options.get("virtual_time") and options.get("speed", 1) != 1:
        raise UserError("--virtual-time jumps, and --speed does not: choose one of them")
    if reload_folders and not is_reloading:
        raise UserError("--reload-dir has no effect without --reload")
    run_until_signal(
        ServeRequest(
            functions=functions if workers is None else with_workers(functions, workers),
            is_reloading=is_reloading,
            reload_folders=reload_folders,
            allowed_hosts=allowed_hosts,
            **options,
        )
    )
