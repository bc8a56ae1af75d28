"""What a cold start loads: every module that is not here by mistake is a part of a millisecond of every first call."""

from __future__ import annotations

import subprocess
import sys

HANDLER = """
import sys
import trio

before = set(sys.modules)
from durable_trio import DurableContext, durable_execution


async def give(value: int) -> int:
    return value


@durable_execution
async def handler(event: dict[str, int], ctx: DurableContext) -> int:
    return await ctx.step(give, event["a"])


def loaded(*names):
    return [name for name in names if name in set(sys.modules) - before]
"""


def run(code: str) -> str:
    """Return what *code*, after a handler's module, prints in a process of its own."""
    done = subprocess.run([sys.executable, "-c", HANDLER + code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_handlers_module_loads_nothing_that_only_some_need() -> None:
    """Neither the modules of operations that it may never call, nor of types that it may never store."""
    names = [
        *("decimal", "uuid", "http.client", "email", "urllib3", "botocore", "cattrs", "structlog", "logging"),
        *(
            "durable_trio._runtime." + name
            for name in ("saga", "nursery", "durable_deadline", "shield", "race")
        ),
        *("durable_trio._runtime." + name for name in ("batch_operation", "combinators_all", "retry_block")),
        *("durable_trio._runtime." + name for name in ("callback", "condition", "invoke")),
        *(
            "durable_trio." + name
            for name in ("clients.aws", "local", "testing", "plugins", "restarts", "settled")
        ),
    ]

    assert run(f"print(loaded(*{names}))") == "[]"


def test_a_first_invocation_loads_no_more_than_its_client() -> None:
    """One step with the client that it has on Lambda: botocore's signer and connections, and no session or client."""
    code = """
import os
for name in list(os.environ):
    if name.startswith("AWS_") or name.lower().endswith("_proxy"):
        del os.environ[name]
os.environ |= {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s", "AWS_REGION": "eu-west-1", "HOME": "/nonexistent"}
import socket
quiet = socket.create_server(("127.0.0.1", 0))
os.environ["AWS_ENDPOINT_URL_LAMBDA"] = f"http://127.0.0.1:{quiet.getsockname()[1]}"

import json, threading

def serve():
    connection, _ = quiet.accept()
    request = b""
    while b"\\r\\n\\r\\n" not in request or b"}" not in request:
        request += connection.recv(65536)
    body = json.dumps({"CheckpointToken": "dA==", "NewExecutionState": {"Operations": []}}).encode()
    connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n%b" % (len(body), body))

thread = threading.Thread(target=serve)
thread.start()
ARN = "arn:aws:lambda:eu-west-1:123456789012:function:f:1/durable-execution/n/i"
execution = {
    "Id": "i", "Type": "EXECUTION", "Status": "STARTED", "StartTimestamp": 1,
    "ExecutionDetails": {"InputPayload": '{"a": 7}'},
}
event = {
    "DurableExecutionArn": ARN,
    "CheckpointToken": "dA==",
    "InitialExecutionState": {"Operations": [execution]},
}
names = ["botocore.auth", "boto3", "botocore.session", "botocore.client", "botocore.credentials", "cattrs", "structlog"]
print(handler(event, None), loaded(*names))
"""

    assert run(code) == "{'Status': 'SUCCEEDED', 'Result': '7'} ['botocore.auth']"
