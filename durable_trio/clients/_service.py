"""Lambda's service for durable executions, by whichever way the environment allows; chosen by the first call.

Where nothing is boto3's to decide, the calls are made by two pieces of botocore: boto3's session and client cost a
cold start 85 ms more, and do the same. Otherwise they are made by boto3. Either way is a module that imports what it
needs, which is what takes long: it is imported when it is chosen.
"""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from durable_trio.clients._settings import plain_settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from durable_trio.clients._boto import BotoLambda
    from durable_trio.clients._direct import DirectLambda
    from durable_trio.clients._rest import Refusal
    from durable_trio.clients._settings import Settings


class LambdaService:
    """Lambda, as far as the durable execution service goes; may be used by several threads at a time."""

    def __init__(
        self,
        *,
        region_name: str | None,
        endpoint_url: str | None,
        connect_seconds: float,
        read_seconds: float,
        boto3_client: Any = None,
    ) -> None:
        self._region_name = region_name
        self._endpoint_url = endpoint_url
        self._connect_seconds = connect_seconds
        self._read_seconds = read_seconds
        self._boto3_client = boto3_client
        self._lock = threading.Lock()
        self._way: DirectLambda | BotoLambda | None = None

    @property
    def is_used(self) -> bool:
        """Tell whether there was a call."""
        return self._way is not None

    @property
    def where(self) -> str:
        """Say where the service is."""
        if self._boto3_client is not None:
            return str(self._boto3_client.meta.endpoint_url)
        return self._endpoint_url or self._region_name or "the usual region"

    def prepare(self) -> None:
        """Do what takes long before the first call, without making one; what it reads will be read again then."""
        self._choose()  # it is the import that takes long

    def call(self, method: str, members: Mapping[str, Any]) -> Mapping[str, Any] | Refusal:
        """Call boto3's *method* once, with its *members*.

        Raises:
            ConfigurationError: there is no region, there are no credentials, or boto3 is too old.
        """
        with self._lock:
            if self._way is None:
                self._way = self._choose()
        return self._way.call(method, members)

    def _choose(self) -> DirectLambda | BotoLambda:
        settings = None if self._boto3_client is not None else self._plain_settings()
        if settings is None:
            from durable_trio.clients._boto import BotoLambda

            return BotoLambda(
                region_name=self._region_name,
                endpoint_url=self._endpoint_url,
                connect_seconds=self._connect_seconds,
                read_seconds=self._read_seconds,
                client=self._boto3_client,
            )
        from durable_trio.clients._direct import DirectLambda

        return DirectLambda(settings, connect_seconds=self._connect_seconds, read_seconds=self._read_seconds)

    def _plain_settings(self) -> Settings | None:
        # Elsewhere the system has proxies of its own.
        if not sys.platform.startswith("linux") or _has_aws_files():
            return None
        return plain_settings(os.environ, region_name=self._region_name, endpoint_url=self._endpoint_url)


def _has_aws_files() -> bool:
    """Tell whether there is anything in the places where boto3 looks for files."""
    named = [os.environ.get(name) for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE")]
    return any(_exists(path) for path in named if path) or (not all(named) and _exists("~/.aws"))


def _exists(path: str) -> bool:
    try:
        return Path(path).expanduser().exists()
    except (
        OSError,
        RuntimeError,
    ):  # not to be read, or nobody has a home: there is nothing for boto3, either
        return False
