from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from durable_trio._protocol import limits

if TYPE_CHECKING:
    import re


@pytest.fixture(scope="module")
def shapes() -> Any:
    """The shapes of botocore's Lambda service model."""
    from botocore.session import get_session

    return get_session().get_service_model("lambda")


@pytest.mark.parametrize(
    ("operation", "members", "bound", "limit"),
    [
        ("CheckpointDurableExecution", "Updates Payload", "max", limits.MAX_PAYLOAD_BYTES),
        ("CheckpointDurableExecution", "CheckpointToken", "max", limits.MAX_TOKEN_LENGTH),
        ("CheckpointDurableExecution", "Updates Name", "max", limits.MAX_NAME_LENGTH),
        (
            "CheckpointDurableExecution",
            "Updates ChainedInvokeOptions TenantId",
            "max",
            limits.MAX_TENANT_ID_LENGTH,
        ),
        ("CheckpointDurableExecution", "Updates WaitOptions WaitSeconds", "min", limits.MIN_DELAY_SECONDS),
        ("CheckpointDurableExecution", "Updates WaitOptions WaitSeconds", "max", limits.MAX_DELAY_SECONDS),
        (
            "CheckpointDurableExecution",
            "Updates StepOptions NextAttemptDelaySeconds",
            "max",
            limits.MAX_DELAY_SECONDS,
        ),
        (
            "CheckpointDurableExecution",
            "Updates CallbackOptions TimeoutSeconds",
            "max",
            limits.MAX_CALLBACK_TIMEOUT_SECONDS,
        ),
        ("GetDurableExecutionState", "MaxItems", "max", limits.MAX_PAGE_SIZE),
        ("SendDurableExecutionCallbackSuccess", "Result", "max", limits.MAX_CALLBACK_RESULT_BYTES),
    ],
)
def test_limits_are_those_of_the_service_model(
    shapes: Any, operation: str, members: str, bound: str, limit: int
) -> None:
    """What the service's model says about a member is what we say."""
    shape = shapes.operation_model(operation).input_shape
    for member in members.split():
        shape = (shape.member if shape.type_name == "list" else shape).members[member]

    assert shape.metadata[bound] == limit


ARN = "arn:aws:lambda:eu-central-1:123456789012:function:orders:$LATEST/durable-execution/order-1/e2f1"


@pytest.mark.parametrize(
    ("pattern", "fits", "does_not"),
    [
        (limits.OPERATION_ID, ["a", "a-_9", "f" * 64], ["", "f" * 65, "a b", "ä", "a\n"]),
        (limits.NAME, ["a", "pack line #1 ~", "n" * 256], ["", "n" * 257, "ä", "a\n", "\x1f", "\x7f"]),
        (limits.SUB_TYPE, ["Step", "s" * 32], ["", "s" * 33, "a b"]),
        (limits.EXECUTION_NAME, ["order-1_a", "n" * 64], ["", "n" * 65, "order 1", "a/b"]),
        (limits.CLIENT_TOKEN, ["!", "~", "a" * 64], ["", "a" * 65, "a b", "ä"]),
        (limits.CALLBACK_ID, ["aWQ=", "a+/b", "aWQ=="], ["", "=", "aWQ===", "a-b", "aWQ=\n"]),
        (limits.CHECKPOINT_TOKEN, ["dG9rZW4=", "a+/b"], ["", "a b", "dG9r=ZW4"]),
        (
            limits.EXECUTION_ARN,
            [
                ARN,
                ARN.replace("$LATEST", "7"),
                ARN.replace("$LATEST", "$LATEST.PUBLISHED"),
                ARN.replace("arn:aws:", "arn:aws-us-gov:"),
            ],
            [
                "",
                ARN.replace("$LATEST", "live"),
                ARN.replace("123456789012", "123"),
                ARN + "/x",
                ARN.replace("/order-1", ""),
            ],
        ),
    ],
    ids=["operation-id", "name", "sub-type", "execution-name", "client-token", "callback-id", "token", "arn"],
)
def test_patterns(pattern: re.Pattern[str], fits: list[str], does_not: list[str]) -> None:
    """Each pattern takes what the service takes, from the shortest to the longest, and nothing else."""
    assert [text for text in fits if not pattern.fullmatch(text)] == []
    assert [text for text in does_not if pattern.fullmatch(text)] == []


def test_the_parts_of_an_execution_arn() -> None:
    """An execution's ARN tells the function, its version, the execution's name and id."""
    match = limits.EXECUTION_ARN.fullmatch(ARN)

    assert match is not None
    assert match.groupdict() == {
        "region": "eu-central-1",
        "account": "123456789012",
        "function": "orders",
        "version": "$LATEST",
        "name": "order-1",
        "id": "e2f1",
    }


def test_operation_names() -> None:
    """A name is printable ASCII, 1 to 256 characters."""
    assert limits.is_operation_name("charge the card")
    assert not limits.is_operation_name("")
    assert not limits.is_operation_name("n" * 257)


def test_a_response_leaves_room_for_the_envelope() -> None:
    """The response limit is Lambda's 6 MiB less 50 bytes."""
    assert limits.MAX_RESPONSE_BYTES == 6_291_406
