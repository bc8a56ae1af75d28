"""The durable execution service of AWS Lambda, called in a worker thread.

Endpoint, region, credentials and proxies come from boto3's usual places (``AWS_ENDPOINT_URL_LAMBDA`` sends the calls
to a local service). Where the environment says everything, as it does on Lambda, the calls are made by two pieces of botocore
(``_service``), which saves a cold start 85 ms; otherwise boto3 is imported and its client made on the first call.

boto3's own retries are off. Calls are repeated here, with the same checkpoint token and the same client
token, so that a checkpoint whose answer was lost is answered again and not applied again; with full jitter,
not before what ``Retry-After`` asks for, and only as often and as long as an invocation can afford.

``_RULES`` is the one table that says what a refusal means. "Retryable" in the error means that a new
invocation may succeed; "again" means that this client repeats the call first.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, Final

import trio

from durable_trio._protocol.value_class import frozen_dataclass as dataclass
from durable_trio._protocol.wire import Dialect, WireError, decode_operation, encode_update
from durable_trio.clients import CheckpointResponse, StatePage
from durable_trio.clients._arguments import above_zero, check_boto3_client, seconds
from durable_trio.clients._rest import CHECKPOINT, GET_STATE, MAX_CALLS_AT_ONCE, Refusal
from durable_trio.clients._service import LambdaService
from durable_trio.clients.undecoded import UndecodedOperations
from durable_trio.duration import Duration
from durable_trio.exceptions import (
    CheckpointError,
    GetStateError,
    InvalidTokenError,
    ServiceError,
    ThrottlingError,
    ValidationError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import timedelta

    from durable_trio._protocol.operation import OperationRecord, OperationUpdate

__all__ = ["AwsClient"]

_FIRST_BACKOFF_SECONDS: Final = 0.5
_LONGEST_BACKOFF_SECONDS: Final = 5.0
_CONNECT_SECONDS: Final = 3.0
_READ_SECONDS: Final = 10.0

# One for each Trio run: a thread that is abandoned when its run ends never gives its token back.
_LIMITER: Final[trio.lowlevel.RunVar[trio.CapacityLimiter]] = trio.lowlevel.RunVar("durable_trio_aws_threads")

# Needs no seed: instances restored from one snapshot would share a seeded one's state, and retry in step.
_RANDOM: Final = random.SystemRandom()


# --- what a refusal means --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Rule:
    matches: Callable[[Refusal], bool]
    error: type[ServiceError] | None
    """None: the error of the call, ``CheckpointError`` or ``GetStateError``."""
    is_retryable: bool
    again: bool


_KMS_CODES: Final = frozenset(
    {
        "KMSAccessDeniedException",
        "KMSDisabledException",
        "KMSInvalidStateException",
        "KMSNotFoundException",
    }
)
_STALE_TOKEN: Final = "invalid checkpoint token"  # noqa: S105 - a message, and no secret

# botocore takes a body that is not JSON (a proxy's page) for an answer without members. Taken at its word, it
# would say that the token is withheld.
_UNREADABLE: Final = Refusal(message="an answer without any of its members", code="UnreadableAnswer")

# The first rule that matches decides.
_RULES: Final = (
    # boto3 does not send what the service's model forbids.
    _Rule(lambda r: r.code == "ParamValidationError", error=None, is_retryable=False, again=False),
    # The network, or no answer in time.
    _Rule(lambda r: r.status is None, error=None, is_retryable=True, again=True),
    # Their status is 502, but a new invocation meets the same key.
    _Rule(lambda r: r.code in _KMS_CODES, error=None, is_retryable=False, again=False),
    # Another invocation has taken over. The message's case has changed before.
    _Rule(
        lambda r: r.status == 400 and r.message.casefold().startswith(_STALE_TOKEN),
        error=InvalidTokenError,
        is_retryable=True,
        again=False,
    ),
    _Rule(lambda r: r.status == 429, error=ThrottlingError, is_retryable=True, again=True),
    _Rule(lambda r: (r.status or 0) >= 500, error=None, is_retryable=True, again=True),
    # Everything else, 4xx in practice: the same request would be refused again.
    _Rule(lambda _: True, error=None, is_retryable=False, again=False),
)


@dataclass(frozen=True, slots=True)
class _Call:
    """One of the service's two calls: boto3's method, what its failure is called, and what an answer has."""

    method: str
    error: type[ServiceError]
    members: frozenset[str]


_CHECKPOINT: Final = _Call(CHECKPOINT, CheckpointError, frozenset({"CheckpointToken", "NewExecutionState"}))
_API: Final = Dialect.API
_GET_STATE: Final = _Call(GET_STATE, GetStateError, frozenset({"Operations"}))


def _to_error(refusal: Refusal, rule: _Rule, call: _Call, attempts: int) -> ServiceError:
    where = "no usable answer" if refusal.status is None else f"HTTP {refusal.status}"
    tries = f" after {attempts} attempts" if attempts > 1 else ""
    return (rule.error or call.error)(
        f"{call.method} failed{tries}: {refusal.message} ({where}, {refusal.code})",
        is_retryable=rule.is_retryable,
        code=refusal.code,
    )


# --- the client ------------------------------------------------------------------------------------------


class AwsClient:
    """Reaches the durable execution service of AWS Lambda, or any endpoint that speaks its routes.

    May be made anywhere, also outside Trio, and used by any number of Trio runs one after the other. A call
    that is cancelled is abandoned: its thread ends by itself, and it may or may not have taken effect.

    Args:
        region_name: the AWS region; default: boto3's usual places, then ``AWS_REGION``.
        endpoint_url: where the service is; default: boto3's usual places, among them
            ``AWS_ENDPOINT_URL_LAMBDA``, then AWS.
        max_attempts: how often a call is tried in all, from 1.
        retry_for: no attempt is started later than this after the first one.
        connect_timeout: how long connecting may take; above 0; default: 3 seconds.
        read_timeout: how long the service may stay silent; above 0; default: 10 seconds.
        boto3_client: ``boto3.client("lambda", ...)``, to make the calls by. Region, endpoint, time-outs and
            credentials are its own then. Its retries, too, and each attempt here is one call of it: switch them off.

    Raises:
        TypeError: a duration is not a ``Duration`` or ``timedelta``.
        ValidationError: an argument is out of range, or given together with *boto3_client*, which has its own.
        ConfigurationError: *boto3_client* does not know durable executions.
    """

    def __init__(
        self,
        *,
        region_name: str | None = None,
        endpoint_url: str | None = None,
        max_attempts: int = 5,
        retry_for: Duration | timedelta = Duration.seconds(10),  # noqa: B008 - frozen
        connect_timeout: Duration | timedelta | None = None,
        read_timeout: Duration | timedelta | None = None,
        boto3_client: Any = None,
    ) -> None:
        if isinstance(max_attempts, bool) or not isinstance(max_attempts, int) or max_attempts < 1:
            raise ValidationError(f"max_attempts must be a whole number, at least 1, not {max_attempts!r}")
        self._max_attempts = max_attempts
        self._retry_seconds = seconds("retry_for", retry_for)
        if boto3_client is not None:
            check_boto3_client(
                boto3_client,
                region_name=region_name,
                endpoint_url=endpoint_url,
                connect_timeout=connect_timeout,
                read_timeout=read_timeout,
            )
        self._service = LambdaService(
            region_name=region_name,
            endpoint_url=endpoint_url,
            connect_seconds=above_zero("connect_timeout", connect_timeout, default=_CONNECT_SECONDS),
            read_seconds=above_zero("read_timeout", read_timeout, default=_READ_SECONDS),
            boto3_client=boto3_client,
        )

    def __repr__(self) -> str:
        return (
            f"<AwsClient {self._service.where}, {'connected' if self._service.is_used else 'not used yet'}>"
        )

    def prepare(self) -> None:
        """Do what takes long before the first call, blocking; nothing is sent and no connection made.

        It need not be called. ``durable_execution`` does it while Lambda loads the function, which has more
        processor time than the first invocation.
        """
        self._service.prepare()

    async def checkpoint(
        self,
        *,
        durable_execution_arn: str,
        checkpoint_token: str,
        updates: Sequence[OperationUpdate],
        client_token: str,
    ) -> CheckpointResponse:
        """Record *updates*; see ``ServiceClient``.

        Raises:
            CheckpointError, ThrottlingError, InvalidTokenError: the service refused, or could not be reached.
            ConfigurationError: there is no region, there are no credentials, or boto3 is too old.
        """
        answer = await self._call(
            _CHECKPOINT,
            {
                "DurableExecutionArn": durable_execution_arn,
                "CheckpointToken": checkpoint_token,
                "Updates": [encode_update(update) for update in updates],
                "ClientToken": client_token,
            },
        )
        state = answer.get("NewExecutionState") or {}
        return CheckpointResponse(
            checkpoint_token=answer.get("CheckpointToken"),
            operations=_operations(state, _CHECKPOINT),
            next_marker=state.get("NextMarker") or "",
        )

    async def get_state(
        self, *, durable_execution_arn: str, checkpoint_token: str, marker: str, max_items: int
    ) -> StatePage:
        """Return one page of the execution's state; see ``ServiceClient``.

        Raises:
            GetStateError, ThrottlingError, InvalidTokenError: the service refused, or could not be reached.
            ConfigurationError: there is no region, there are no credentials, or boto3 is too old.
        """
        members = {
            "DurableExecutionArn": durable_execution_arn,
            "CheckpointToken": checkpoint_token,
            "MaxItems": max_items,
        }
        # An empty marker would be sent as one that the service never gave out.
        answer = await self._call(_GET_STATE, {**members, "Marker": marker} if marker else members)
        operations = UndecodedOperations(answer.get("Operations") or (), _decoded_for_state)
        return StatePage(operations, next_marker=answer.get("NextMarker") or "")

    async def _call(self, call: _Call, members: Mapping[str, Any]) -> Mapping[str, Any]:
        """Make *call*, again if that may help, and return the answer's members."""
        started = trio.current_time()
        attempt = 1
        while True:
            answer = await trio.to_thread.run_sync(
                self._service.call, call.method, members, abandon_on_cancel=True, limiter=_limiter()
            )
            if not isinstance(answer, Refusal) and not call.members.isdisjoint(answer):
                return answer
            if not isinstance(answer, Refusal):
                answer = _UNREADABLE
            rule = next(rule for rule in _RULES if rule.matches(answer))
            delay_seconds = max(_backoff_seconds(attempt), answer.retry_after_seconds)
            is_in_time = trio.current_time() - started + delay_seconds <= self._retry_seconds
            if not rule.again or attempt == self._max_attempts or not is_in_time:
                raise _to_error(answer, rule, call, attempt)
            await trio.sleep(delay_seconds)
            attempt += 1


def _operations(members: Mapping[str, Any], call: _Call) -> tuple[OperationRecord, ...]:
    return tuple(_decoded(wire, call) for wire in members.get("Operations") or ())


def _decoded_for_state(wire: Mapping[str, Any]) -> OperationRecord:
    return _decoded(wire, _GET_STATE)


def _decoded(wire: Mapping[str, Any], call: _Call) -> OperationRecord:
    try:
        return decode_operation(wire, _API)
    except WireError as error:
        raise call.error(
            f"{call.method} was answered with an operation that cannot be read: {error}"
        ) from error


def _backoff_seconds(attempt: int) -> float:
    longest = min(_LONGEST_BACKOFF_SECONDS, _FIRST_BACKOFF_SECONDS * 2.0 ** min(attempt - 1, 10))
    return _RANDOM.uniform(0, longest)


def _limiter() -> trio.CapacityLimiter:
    try:
        return _LIMITER.get()
    except LookupError:
        limiter = trio.CapacityLimiter(MAX_CALLS_AT_ONCE)
        _LIMITER.set(limiter)
        return limiter
