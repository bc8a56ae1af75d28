"""The synchronous side of the AWS client: boto3, called in a worker thread.

boto3 and its client are only made by the first call. A refusal comes back as a value, for ``aws`` to judge;
what only the program's owner can mend is raised as a ``ConfigurationError``.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from durable_trio.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

# The writer makes one call at a time; more only happens while calls of a cancelled invocation die away.
MAX_THREADS: Final = 4

_KNOWN_SINCE: Final = "1.43"


@dataclass(frozen=True, slots=True)
class Refusal:
    """What came back instead of an answer.

    Attributes:
        message: the service's words, or boto3's.
        code: the service's error code, or the class of boto3's error.
        status: the HTTP status; None if the service was not heard.
        retry_after_seconds: how long the service asks to stay away.
    """

    message: str
    code: str
    status: int | None = None
    retry_after_seconds: float = 0


class BotoLambda:
    """boto3's client of Lambda, made on the first call; may be used by several threads at a time."""

    def __init__(
        self,
        *,
        region_name: str | None,
        endpoint_url: str | None,
        connect_seconds: float,
        read_seconds: float,
    ) -> None:
        self._region_name = region_name
        self._endpoint_url = endpoint_url
        self._connect_seconds = connect_seconds
        self._read_seconds = read_seconds
        self._lock = threading.Lock()
        self._client: Any = None

    @property
    def is_made(self) -> bool:
        """Tell whether boto3's client exists."""
        return self._client is not None

    @property
    def where(self) -> str:
        """Say where the client points."""
        return self._endpoint_url or self._region_name or "the usual region"

    def call(self, method: str, members: Mapping[str, Any]) -> Mapping[str, Any] | Refusal:
        """Call boto3's *method* once.

        Raises:
            ConfigurationError: there is no region, there are no credentials, or boto3 is too old.
        """
        function = getattr(self._connected(), method)
        from botocore.exceptions import (
            BotoCoreError,
            ClientError,
            NoCredentialsError,
            PartialCredentialsError,
        )
        from botocore.parsers import ResponseParserError

        try:
            answer: Mapping[str, Any] = function(**members)
        except ClientError as error:
            return _read_refusal(error.response)
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
        import boto3.session
        from botocore.config import Config
        from botocore.exceptions import NoRegionError

        # A session of its own: boto3's default session is not safe to use from several threads.
        session = boto3.session.Session()
        # Lambda sets both variables, but boto3 only reads AWS_DEFAULT_REGION.
        region_name = self._region_name or session.region_name or os.environ.get("AWS_REGION")
        config = Config(
            retries={"total_max_attempts": 1, "mode": "standard"},
            connect_timeout=self._connect_seconds,
            read_timeout=self._read_seconds,
            tcp_keepalive=True,
            max_pool_connections=MAX_THREADS,
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


def _read_refusal(response: Mapping[str, Any]) -> Refusal:
    """Read the response of a botocore ``ClientError``."""
    error, metadata = response.get("Error", {}), response.get("ResponseMetadata", {})
    return Refusal(
        message=error.get("Message") or response.get("message") or "no message",
        code=error.get("Code") or "no code",
        status=metadata.get("HTTPStatusCode", 0),
        retry_after_seconds=_retry_after_seconds(metadata.get("HTTPHeaders", {}).get("retry-after", "")),
    )


def _retry_after_seconds(header: str) -> float:
    # The service's model has seconds here. A date would come from a proxy: the client's own backoff does for it.
    return float(header) if header.isascii() and header.isdigit() else 0
