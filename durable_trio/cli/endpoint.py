"""An endpoint of Lambda's API: where it is, with what credentials, and its errors in the user's words.

Region, credentials, profile and proxies come from where the AWS CLI has them. An endpoint on this machine is
asked
without any: it does not check signatures, so made-up ones do.
"""

from __future__ import annotations

import ipaddress
import json
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode, urlsplit

from durable_trio._protocol.wire import Dialect, decode_instant, encode_instant
from durable_trio.cli.errors import NotFoundError, UserError

if TYPE_CHECKING:
    from durable_trio.cli.service import Members

_LOCAL_REGION: Final = "us-east-1"
_LOCAL_KEY: Final = "local"
# A synchronous invoke may take 15 minutes.
_READ_SECONDS: Final = 15 * 60 + 30
_PAGE: Final = 1_000


@dataclass(slots=True)
class Endpoint:
    """Where calls go.

    Attributes:
        url: the endpoint; None: AWS's.
        region, profile: as the AWS CLI has them; None: its defaults.
    """

    url: str | None = None
    region: str | None = None
    profile: str | None = None
    _client: Any = field(default=None, init=False, repr=False)

    def __str__(self) -> str:
        return self.url or "AWS"

    @property
    def is_local(self) -> bool:
        """Tell whether it is on this machine."""
        if self.url is None:
            return False
        name = urlsplit(self.url).hostname or ""
        try:
            return ipaddress.ip_address(name).is_loopback
        except ValueError:
            return name == "localhost" or name.endswith(".localhost")

    def call(self, method: str, **members: Any) -> Members:
        """Call *method* of boto3's client; instants in the answer are epoch seconds.

        Raises:
            NotFoundError: the service does not know what was asked about.
            UserError: it refused, could not be reached, or there is no region or no credentials.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            if self._client is None:
                self._client = self._connect()
            answer = getattr(self._client, method)(**members)
        except ClientError as problem:
            error = problem.response.get("Error", {})
            kind = NotFoundError if error.get("Code") == "ResourceNotFoundException" else UserError
            raise kind(f"{self}: {error.get('Message') or problem} ({error.get('Code')})") from problem
        except BotoCoreError as problem:
            raise UserError(f"{self}: {problem}") from problem
        answer.pop("ResponseMetadata", None)
        wire: Members = _with_plain_instants(answer)
        return wire

    def _connect(self) -> Any:
        import boto3.session
        from botocore.config import Config

        session = boto3.session.Session(profile_name=self.profile)
        config = Config(
            read_timeout=_READ_SECONDS,
            # Repeated, an invoke without a name would start a second execution.
            retries={"total_max_attempts": 1, "mode": "standard"},
            user_agent_extra="durable_trio",
        )
        given: dict[str, Any] = {}
        if self.is_local:
            given["region_name"] = self.region or session.region_name or _LOCAL_REGION
            if session.get_credentials() is None:
                given |= {"aws_access_key_id": _LOCAL_KEY, "aws_secret_access_key": _LOCAL_KEY}
        elif self.region is not None:
            given["region_name"] = self.region
        client = session.client("lambda", endpoint_url=self.url, config=config, **given)
        if not hasattr(client, "pause_durable_execution"):
            raise UserError(f"boto3 {boto3.__version__} is too old for this command: pip install -U boto3")
        return client

    # --- what only the local service has -----------------------------------------------------------------

    def log_lines(self, arn: str) -> list[Members]:
        """Return the lines of an execution's log, which the local service keeps.

        Raises:
            NotFoundError: there is no such execution.
            UserError: this is no endpoint of a local service, or it cannot be reached.
        """
        if self.url is None:
            raise UserError(_in_cloudwatch(arn))
        lines: list[Members] = []
        marker = ""
        while True:
            page = self._log_page(arn, marker)
            lines += page["Lines"]
            marker = page.get("NextMarker", "")
            if not marker:
                return lines

    def _log_page(self, arn: str, marker: str) -> Members:
        query = urlencode({"MaxItems": _PAGE, "Marker": marker})
        url = f"{str(self.url).rstrip('/')}/durable-trio/executions/{quote(arn, safe='')}/logs?{query}"
        try:
            with urllib.request.urlopen(url, timeout=60) as answer:  # noqa: S310  # ``place`` checks the scheme
                page: Members = json.load(answer)
        except urllib.error.HTTPError as problem:
            raise self._log_refusal(arn, problem) from problem
        except (OSError, ValueError) as problem:
            raise UserError(f"{self}: {problem}") from problem
        return page

    def _log_refusal(self, arn: str, problem: urllib.error.HTTPError) -> UserError:
        code = problem.headers.get("x-amzn-ErrorType")
        if code == "ResourceNotFoundException":
            return NotFoundError(f"{self}: there is no execution {arn!r}")
        return UserError(f"{self} keeps no logs (HTTP {problem.code}); {_in_cloudwatch(arn)}")


def _in_cloudwatch(arn: str) -> str:
    function_name = arn.split(":")[6] if arn.count(":") >= 6 else "FUNCTION"
    return (
        "on AWS the logs of functions are in CloudWatch: "
        f"aws logs tail /aws/lambda/{function_name} --filter-pattern '{{ $.executionArn = \"{arn}\" }}'"
    )


def _with_plain_instants(value: Any) -> Any:
    if isinstance(value, datetime):
        return encode_instant(decode_instant(value, Dialect.API, "Timestamp"), Dialect.API)
    if isinstance(value, dict):
        return {key: _with_plain_instants(member) for key, member in value.items()}
    if isinstance(value, list):
        return [_with_plain_instants(item) for item in value]
    return value
