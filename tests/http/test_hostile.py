"""Whatever is sent: an answer in JSON that is nobody's traceback, and a service whose state is whole."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.endpoints import in_thread, served
from support.http_workflows import register_all

from durable_trio.local.http.routes import OPERATIONS

# Pieces that requests are made of; the generator mixes what is right with what is not.
# (Of the functions, only those that answer at once: a client may wait for an answer for minutes.)
NAMES = st.sampled_from(["greet", "fail", "echo", "nobody", "greet:$LATEST", "a b", "..", "%00", "", "💥"])
TEXTS = st.text(max_size=40) | st.sampled_from(["", "\x00", "\ud800", "null", "x" * 3_000, "' OR 1=1 --"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)
UPDATE = st.fixed_dictionaries(
    {},
    optional={
        "Id": TEXTS,
        "Type": st.sampled_from(["STEP", "WAIT", "CONTEXT", "CALLBACK", "CHAINED_INVOKE", "EXECUTION", "?"]),
        "Action": st.sampled_from(["START", "SUCCEED", "FAIL", "RETRY", "CANCEL", "?"]),
        "ParentId": TEXTS,
        "Name": TEXTS,
        "SubType": TEXTS,
        "Payload": TEXTS,
        "Error": JSON,
        "WaitOptions": JSON | st.fixed_dictionaries({"WaitSeconds": st.integers()}),
        "StepOptions": JSON | st.fixed_dictionaries({"NextAttemptDelaySeconds": st.integers()}),
        "CallbackOptions": JSON | st.fixed_dictionaries({"TimeoutSeconds": st.integers()}),
        "ChainedInvokeOptions": JSON | st.fixed_dictionaries({"FunctionName": TEXTS}),
        "ContextOptions": JSON,
    },
)
MEMBERS = st.fixed_dictionaries(
    {},
    optional={
        "CheckpointToken": TEXTS | st.just("dG9rZW46MA=="),
        "ClientToken": TEXTS | JSON,
        "Updates": st.lists(UPDATE, max_size=4) | JSON,
        "Reason": TEXTS | JSON,
        "ExecutionTimeoutPaused": JSON,
        "ErrorMessage": TEXTS | JSON,
        "ErrorType": TEXTS | JSON,
        "StackTrace": JSON,
    },
)
BODIES = (
    MEMBERS.map(lambda members: json.dumps(members).encode())
    | JSON.map(lambda value: json.dumps(value).encode())
    | st.binary(max_size=200)
    | st.just(b"")
)
QUERIES = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "MaxItems",
                "Marker",
                "CheckpointToken",
                "IncludeExecutionData",
                "ReverseOrder",
                "Qualifier",
                "Statuses",
                "StartedAfter",
                "StartedBefore",
                "DurableExecutionName",
            ]
        ),
        TEXTS
        | st.sampled_from(
            ["0", "1000", "true", "RUNNING", "2026-11-20T00:00:00Z", "$LATEST", "ZXZlbnRzOjE="]
        ),
    ),
    max_size=4,
)
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "X-Amz-Invocation-Type": st.sampled_from(["Event", "DryRun", "RequestResponse", "Never", ""]),
        "X-Amz-Durable-Execution-Name": st.sampled_from(["one", "a b", "", "x" * 65]),
        "X-Amz-Log-Type": st.sampled_from(["Tail", "None", "?"]),
        "X-Amz-Tenant-Id": st.sampled_from(["blue", "", "é", "x" * 300]),
        "X-Amz-Client-Context": st.sampled_from(["e30=", "?", "x" * 4_000]),
        "Content-Type": st.sampled_from(["application/json", "text/plain", "image/png", ""]),
        "Content-Encoding": st.sampled_from(["gzip", "br"]),
    },
)
ARN_PARTS = st.sampled_from(["one", "other", "..", "", "x" * 2_000, "a/b", "é"])


def escaped(text: str) -> str:
    """Encode a part of a path, surrogates included."""
    from urllib.parse import quote

    return quote(text.encode("utf-8", "surrogatepass"), safe="")


@st.composite
def requests(draw: st.DrawFn, arn: str) -> dict[str, Any]:
    """One request that is nearly, or not at all, one of the API's."""
    method, path, _ = draw(st.sampled_from(OPERATIONS))
    if draw(st.integers(0, 9)) == 0:
        method = draw(st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"]))
    stem, name, id_ = arn.replace("/durable-execution/", "/").split("/")
    is_true = draw(st.booleans())
    values = {
        "{function}": stem if "durable-execution/" in path and is_true else draw(NAMES),
        "{name}": name if is_true else draw(ARN_PARTS),
        "{id}": id_ if is_true else draw(ARN_PARTS),
        "{callback:path}": draw(TEXTS | st.just("bm9ib2R5OjE=")),
    }
    for part, value in values.items():
        path = path.replace(part, escaped(value))
    query = "&".join(f"{key}={escaped(value)}" for key, value in draw(QUERIES))
    return {
        "method": method,
        "url": f"{path}?{query}" if query else path,
        "content": draw(BODIES),
        "headers": {key: value.encode("utf-8") for key, value in draw(HEADERS).items()},
    }


def bombard(url: str, arn: str, count: int) -> list[int]:
    """Send *count* requests; return the statuses of their answers."""
    statuses: list[int] = []
    with httpx.Client(base_url=url, timeout=30, trust_env=False) as client:

        @settings(
            max_examples=count,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        )
        @given(requests(arn))
        def send(request: dict[str, Any]) -> None:
            answer = client.request(**request)
            statuses.append(answer.status_code)
            assert answer.status_code < 500, (request, answer.text)
            assert "Traceback" not in answer.text
            if answer.status_code >= 400 and request["method"] != "HEAD":
                assert answer.headers["x-amzn-errortype"]
                assert answer.json()["message"]

        send()
    return statuses


@pytest.mark.slow
async def test_any_request_gets_an_answer_and_harms_nothing() -> None:
    """Nothing is answered with 5xx or a traceback, and an execution that goes on meanwhile is not disturbed."""
    async with served(virtual_time=False) as endpoint:
        register_all(endpoint.service)
        # Its operations are out of reach: only its function has a token, and nobody has the callback's id.
        bystander = await endpoint.service.start_execution("approve", "{}", name="bystander")
        target = await endpoint.service.start_execution("nap", "{}", name="one")
        statuses = await in_thread(lambda: bombard(endpoint.url, target.arn, 400))

        operations = await endpoint.service.operations(bystander.arn)
        answer = getattr(operations[1].details, "callback_id", "")
        await endpoint.service.callback_succeed(answer, "1")
        ended = await endpoint.service.wait_closed(bystander.arn)
    assert ended.result == '{"answer":"1"}'
    assert len(set(statuses)) >= 4
