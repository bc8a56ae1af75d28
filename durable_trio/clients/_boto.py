"""The synchronous side of the AWS client by boto3, called in a worker thread.

For environments in which boto3 has something to decide (``_settings``), and for a client that the program brings.
boto3's client is only made by the first call. Importing this module imports boto3; only ``_service`` does, when this
way is chosen. A refusal comes back as a value, for ``aws`` to judge;
what only the program's owner can mend is raised as a ``ConfigurationError``.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any, Final

import boto3.session
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
)
from botocore.parsers import ResponseParserError

from durable_trio.clients._rest import MAX_CALLS_AT_ONCE, Refusal, retry_after_seconds
from durable_trio.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

_KNOWN_SINCE: Final = "1.43"


class BotoLambda:
    """boto3's client of Lambda, made on the first call or given; may be used by several threads at a time."""

    def __init__(
        self,
        *,
        region_name: str | None,
        endpoint_url: str | None,
        connect_seconds: float,
        read_seconds: float,
        client: Any = None,
    ) -> None:
        self._region_name = region_name
        self._endpoint_url = endpoint_url
        self._connect_seconds = connect_seconds
        self._read_seconds = read_seconds
        self._lock = threading.Lock()
        self._client = client

    def call(self, method: str, members: Mapping[str, Any]) -> Mapping[str, Any] | Refusal:
        """Call boto3's *method* once.

        Raises:
            ConfigurationError: there is no region, there are no credentials, or boto3 is too old.
        """
        function = getattr(self._connected(), method)
        try:
            answer: Mapping[str, Any] = function(**members)
        except ClientError as error:
            return read_refusal(error.response)
        except (NoCredentialsError, PartialCredentialsError) as error:
            raise ConfigurationError(
                f"no AWS credentials for the durable execution service: {error}"
            ) from error
        except (BotoCoreError, ResponseParserError) as error:
            return Refusal(message=str(error), code=type(error).__name__)
        return answer

    def _connected(self) -> Any:
        with self._lock:
            if self._client is None:
                self._client = self._connect()
            return self._client

    def _connect(self) -> Any:
        # A session of its own: boto3's default session is not safe to use from several threads.
        session = boto3.session.Session()
        # Lambda sets both variables, but boto3 only reads AWS_DEFAULT_REGION.
        region_name = self._region_name or session.region_name or os.environ.get("AWS_REGION")
        config = Config(
            retries={"total_max_attempts": 1, "mode": "standard"},
            connect_timeout=self._connect_seconds,
            read_timeout=self._read_seconds,
            tcp_keepalive=True,
            max_pool_connections=MAX_CALLS_AT_ONCE,
            user_agent_extra="durable_trio",
        )
        try:
            client = session.client(
                "lambda", region_name=region_name, endpoint_url=self._endpoint_url, config=config
            )
        except NoRegionError as error:
            raise ConfigurationError(
                "no AWS region for the durable execution service: set AWS_REGION or AWS_DEFAULT_REGION, "
                "or pass AwsClient(region_name=...)"
            ) from error
        if not hasattr(client, "checkpoint_durable_execution"):
            raise ConfigurationError(
                f"boto3 {boto3.__version__} does not know durable executions: deploy boto3 {_KNOWN_SINCE} or "
                "newer with the function"
            )
        return client


def read_refusal(response: Mapping[str, Any]) -> Refusal:
    """Read the response of a botocore ``ClientError``."""
    error, metadata = response.get("Error", {}), response.get("ResponseMetadata", {})
    return Refusal(
        message=error.get("Message") or response.get("message") or "no message",
        code=error.get("Code") or "no code",
        status=metadata.get("HTTPStatusCode", 0),
        retry_after_seconds=retry_after_seconds(metadata.get("HTTPHeaders", {}).get("retry-after", "")),
    )
