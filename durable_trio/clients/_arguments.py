"""Checks of what an ``AwsClient`` is made from."""

from __future__ import annotations

from datetime import timedelta

from durable_trio.clients._rest import CHECKPOINT, GET_STATE
from durable_trio.duration import Duration
from durable_trio.exceptions import ConfigurationError, ValidationError


def seconds(argument: str, value: object) -> float:
    """Return a duration in seconds.

    Raises:
        TypeError: it is none; a bare number is not accepted.
        ValidationError: it is negative.
    """
    if not isinstance(value, (Duration, timedelta)):
        raise TypeError(
            f"{argument} must be a Duration or a timedelta, not {type(value).__name__}: {value!r}"
        )
    given = value.to_seconds() if isinstance(value, Duration) else value.total_seconds()
    if given < 0:
        raise ValidationError(f"{argument} must not be negative: {value!r}")
    return given


def check_boto3_client(client: object, **given: object) -> None:
    """Refuse a *client* that does not know durable executions, and what is *given* beside it.

    Raises:
        ValidationError: an option is the client's own affair.
        ConfigurationError: the client lacks a method.
    """
    for argument, value in given.items():
        if value is not None:
            raise ValidationError(f"{argument} belongs to boto3_client: make that with it")
    for method in (CHECKPOINT, GET_STATE):
        if not callable(getattr(client, method, None)):
            raise ConfigurationError(
                f"boto3_client has no {method}: it must be a client of Lambda, by boto3 1.43 or newer, and not"
                f" {client!r}"
            )


def above_zero(argument: str, value: object, *, default: float) -> float:
    """Return a duration in seconds, or *default* seconds for None; raises like ``seconds``, and for 0."""
    if value is None:
        return default
    given = seconds(argument, value)
    if not given:
        raise ValidationError(f"{argument} must be above 0 seconds")
    return given
