"""Where a command looks for executions: the options that say so, and the service that comes of them.

Without any, it is a database file. ``--endpoint-url`` names an endpoint, as it does for the AWS CLI; ``--aws``
is AWS itself, in the region and with the profile that the AWS CLI would take.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click
import trio
from click.core import ParameterSource

from durable_trio.cli.endpoint import Endpoint
from durable_trio.cli.errors import UserError
from durable_trio.cli.file_service import FileService
from durable_trio.cli.options import database_option, in_service
from durable_trio.cli.remote_service import RemoteService

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from durable_trio.cli.service import ExecutionService
    from durable_trio.local import LocalService

T = TypeVar("T")
CommandT = TypeVar("CommandT", bound="Callable[..., Any]")


@dataclass(frozen=True, slots=True)
class Place:
    """A database file, or an endpoint if there is one."""

    db: Path
    endpoint: Endpoint | None = None

    def ask(self, function: Callable[[ExecutionService], Awaitable[T]]) -> T:
        """Do *function* with the service of this place.

        Raises:
            NotFoundError: it is a file, and there is none.
        """
        endpoint = self.endpoint
        if endpoint is None:

            async def in_file(service: LocalService) -> T:
                return await function(FileService(service))

            return in_service(self.db, in_file)

        async def at_endpoint() -> T:
            return await function(RemoteService(endpoint))

        return trio.run(at_endpoint)


def place_option(command: CommandT) -> CommandT:
    """Add ``--db``, ``--endpoint-url``, ``--aws``, ``--region`` and ``--profile``, as the argument ``place``."""

    @functools.wraps(command)
    def with_place(
        *arguments: Any,
        db: Path,
        endpoint_url: str | None,
        use_aws: bool,
        region: str | None,
        profile: str | None,
        **others: Any,
    ) -> Any:
        place = _place(db, endpoint_url, use_aws, region, profile)
        return command(*arguments, place=place, **others)

    decorated: Any = with_place
    for decorate in (
        database_option,
        click.option("--profile", metavar="NAME", help="As for the AWS CLI; with --aws or --endpoint-url."),
        click.option("--region", metavar="NAME", help="As for the AWS CLI; with --aws or --endpoint-url."),
        click.option("--aws", "use_aws", is_flag=True, help="Look at AWS, not at a file."),
        click.option(
            "--endpoint-url",
            metavar="URL",
            envvar="DURABLE_TRIO_ENDPOINT_URL",
            show_envvar=True,
            help="Look at this endpoint of Lambda's API, not at a file.",
        ),
    ):
        decorated = decorate(decorated)
    result: CommandT = decorated
    return result


def _place(
    db: Path, endpoint_url: str | None, use_aws: bool, region: str | None, profile: str | None
) -> Place:
    typed = {name for name in ("db", "endpoint_url") if _is_typed(name)}
    if use_aws:
        typed.add("use_aws")
    if len(typed) > 1:
        raise UserError("--db, --endpoint-url and --aws are different places; give one of them")
    # What is typed counts more than what the environment says.
    url = None if typed and "endpoint_url" not in typed else endpoint_url
    if url is not None and not url.startswith(("http://", "https://")):
        raise UserError(f"--endpoint-url must begin with http:// or https://, not {url!r}")
    if url is not None or use_aws:
        return Place(db, Endpoint(url, region, profile))
    if region is not None or profile is not None:
        raise UserError("--region and --profile are for AWS; give --aws or --endpoint-url too")
    return Place(db)


def _is_typed(name: str) -> bool:
    return click.get_current_context().get_parameter_source(name) is ParameterSource.COMMANDLINE
