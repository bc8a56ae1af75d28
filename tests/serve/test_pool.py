"""Functions in real worker processes."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from serve.calls import ENDPOINT, ROOT, failure, invocation, open_stage, until, value

from durable_trio.exceptions import ConfigurationError, ValidationError
from durable_trio.local.workers.host import open_worker_host

RUNTIMES = ("builtin", "awslambdaric")


@pytest.fixture(params=RUNTIMES)
def runtime(request: pytest.FixtureRequest) -> str:
    """The two clients of the Runtime API that a worker may have."""
    name: str = request.param
    if name == "awslambdaric":
        pytest.importorskip("awslambdaric", reason="Lambda's own client is not installed (extra 'local')")
    return name


def is_running(pid: int) -> bool:
    """Tell whether the process exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def gone(pid: int) -> None:
    """Wait until the process runs no more; in a container nobody may wait for orphans."""
    status = Path(f"/proc/{pid}/stat")
    await until(lambda: not is_running(pid) or (status.exists() and ") Z " in status.read_text()))


async def test_a_handler_is_told_what_lambda_tells_it(runtime: str) -> None:
    """Event, context and environment are as on Lambda, and the endpoint is ours."""
    async with open_stage() as stage:
        pool = stage.pool(
            "answer", name="orders", runtime=runtime, memory_limit_in_mb=512, environment={"STAGE": "test"}
        )
        call = invocation(
            {"a": [1, "ü"]}, request_id="r1", tenant_id="t1", client_context='{"custom": {"k": "v"}}'
        )
        told = value(await pool.invoke(call))

    assert 50_000 < told.pop("remaining") <= 60_000
    assert told.pop("pid") != os.getpid()
    assert told == {
        "event": {"a": [1, "ü"]},
        "calls": 1,
        "request_id": "r1",
        "arn": "arn:function",
        "name": "orders",
        "version": "$LATEST",
        "memory": "512",
        "tenant": "t1",
        "custom": {"k": "v"},
        "client": runtime,
        "stdin": "",
        "environment": {
            "AWS_ENDPOINT_URL_LAMBDA": ENDPOINT,
            "STAGE": "test",
            "AWS_EXECUTION_ENV": f"AWS_Lambda_python3.{sys.version_info.minor}",
        },
    }


async def test_a_worker_is_used_again(runtime: str) -> None:
    """Invocations that follow one another have the same process, and its module's state."""
    async with open_stage() as stage:
        pool = stage.pool("answer", runtime=runtime)
        told = [value(await pool.invoke(invocation(n))) for n in range(3)]

    assert [one["calls"] for one in told] == [1, 2, 3]
    assert len({one["pid"] for one in told}) == 1


@pytest.mark.parametrize(
    ("event", "error"),
    [
        ({"raise": "too bad"}, ("ValueError", "too bad")),
        ({"exit": 3}, ("Runtime.ExitError", "RequestId: r Error: Runtime exited with error: exit status 3")),
        ({"die": 0}, ("Runtime.ExitError", "RequestId: r Error: Runtime exited without providing a reason")),
        (
            {"big": 6_291_557},
            (
                "Function.ResponseSizeTooLarge",
                "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
            ),
        ),
    ],
)
async def test_a_failed_invocation_says_why(event: Any, error: tuple[str, str], runtime: str) -> None:
    """Errors, exits and answers that are too big are reported in Lambda's words; the next invocation works."""
    async with open_stage() as stage:
        pool = stage.pool("misbehave", runtime=runtime)

        assert failure(await pool.invoke(invocation(event, request_id="r"))) == error
        assert value(await pool.invoke(invocation(None))) == "well"


@pytest.mark.parametrize("size", [20_000, 200_000])
async def test_an_error_may_be_long(size: int, runtime: str) -> None:
    """It is the function's error still, and the worker goes on; Lambda's client puts it into a header as well."""
    async with open_stage() as stage:
        pool = stage.pool("misbehave", runtime=runtime)
        kind, message = failure(await pool.invoke(invocation({"raise big": size})))
        (pid,) = pool.pids
        assert value(await pool.invoke(invocation(None))) == "well"
        assert pool.pids == [pid]

    assert (kind, len(message or "")) == ("ValueError", size)


async def test_an_answer_has_to_be_json(runtime: str) -> None:
    """A value that JSON does not have is the function's error."""
    async with open_stage() as stage:
        outcome = await stage.pool("misbehave", runtime=runtime).invoke(invocation("not JSON"))

    kind, message = failure(outcome)
    assert kind in {"TypeError", "Runtime.MarshalError"}
    assert "not JSON serializable" in (message or "")


async def test_a_killed_worker_fails_its_invocation(tmp_path: Path) -> None:
    """Whoever kills the process ends the invocation, and nothing else."""
    async with open_stage() as stage:
        pool = stage.pool("misbehave")

        async def kill() -> None:
            await until((tmp_path / "begun").exists)
            os.kill(pool.pids[0], signal.SIGKILL)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(kill)
            call = invocation({"sleep": 60, "touch": str(tmp_path / "begun")}, request_id="r")
            error = failure(await pool.invoke(call))

        assert error == (
            "Runtime.ExitError",
            "RequestId: r Error: Runtime exited with error: signal: SIGKILL",
        )
        assert value(await pool.invoke(invocation(None))) == "well"


async def test_cancelling_an_invocation_kills_its_process(tmp_path: Path) -> None:
    """An invocation whose time is over does not go on, and its process is not used again."""
    async with open_stage() as stage:
        pool, pid = stage.pool("misbehave"), 0
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                call = invocation({"sleep": 60, "touch": str(tmp_path / "begun")})
                nursery.start_soon(pool.invoke, call)
                await until((tmp_path / "begun").exists)
                pid = pool.pids[0]
                scope.cancel()

        await gone(pid)
        assert value(await pool.invoke(invocation(None))) == "well"


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        (
            {"module": "no_such_module"},
            "Runtime.ImportModuleError",
            "Unable to import module 'no_such_module'",
        ),
        (
            {"module": "broken_syntax"},
            "Runtime.UserCodeSyntaxError",
            "Syntax error in module 'broken_syntax'",
        ),
        ({"module": "broken_import"}, "RuntimeError", "not today"),
        ({"attribute": "nothing"}, "Runtime.HandlerNotFound", "Handler 'nothing' missing on module"),
    ],
)
async def test_a_function_that_cannot_be_loaded_says_why(
    options: dict[str, Any], kind: str, message: str, runtime: str, tmp_path: Path
) -> None:
    """The error is Lambda's, for every invocation, and for whoever only asks."""
    (tmp_path / "broken_syntax.py").write_text("def handler(:\n")
    (tmp_path / "broken_import.py").write_text("raise RuntimeError('not today')\n")
    async with open_stage() as stage:
        module = options.get("module", "")
        directory = {"directory": tmp_path} if module.startswith("broken") else {}
        pool = stage.pool("answer", **options, **directory, runtime=runtime)
        errors = [failure(await pool.check()), failure(await pool.invoke(invocation(None)))]

    for error in errors:
        assert error[0] == kind
        assert message in (error[1] or "")


async def test_an_interpreter_that_does_not_exist_fails_the_invocation() -> None:
    """The message names it."""
    async with open_stage() as stage:
        outcome = await stage.pool("answer", python="/nowhere/python").invoke(invocation(None))

    assert failure(outcome) == (
        "Runtime.InvalidEntrypoint",
        "cannot start /nowhere/python: [Errno 2] No such file or directory: '/nowhere/python'",
    )


async def test_a_process_that_does_not_get_ready_is_given_up(tmp_path: Path) -> None:
    """A module may take its time to be imported, but not for ever."""
    (tmp_path / "slow.py").write_text("import time\ntime.sleep(60)\n")
    async with open_stage() as stage:
        pool = stage.pool("handler", module="slow", directory=tmp_path, init_seconds=0.5)
        outcome = await pool.invoke(invocation(None))

    assert failure(outcome) == ("Sandbox.Timedout", "Init timed out after 0.50 seconds")


async def test_a_plain_executable_is_no_worker() -> None:
    """A process that ends without asking for work has failed the invocation."""
    async with open_stage() as stage:
        outcome = await stage.pool("answer", python="/bin/false").invoke(invocation(None))

    assert failure(outcome) == ("Runtime.ExitError", "Error: Runtime exited with error: exit status 1")


async def test_no_more_processes_than_allowed(tmp_path: Path) -> None:
    """Further invocations wait for one of the processes, in order."""
    async with open_stage() as stage:
        pool = stage.pool("answer", max_workers=2)
        told: list[Any] = []

        async def invoke(number: int) -> None:
            told.append(value(await pool.invoke(invocation(number))))

        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(invoke, number)

    assert sorted(one["event"] for one in told) == list(range(20))
    assert len({one["pid"] for one in told}) <= 2


async def test_a_cancelled_invocation_leaves_the_queue() -> None:
    """It takes no worker with it: those behind it go on."""
    async with open_stage() as stage:
        pool = stage.pool("answer", max_workers=1)
        with trio.move_on_after(0):
            await pool.invoke(invocation("cancelled"))
        told = value(await pool.invoke(invocation("next")))

    assert (told["event"], told["calls"]) == ("next", 1)


async def test_idle_processes_end() -> None:
    """A process that has had nothing to do for long enough is ended; the next invocation has another one."""
    async with open_stage(idle_seconds=0.4) as stage:
        pool = stage.pool("answer")
        first = value(await pool.invoke(invocation(1)))["pid"]
        await gone(first)
        second = value(await pool.invoke(invocation(2)))["pid"]

    assert first != second


async def test_retired_workers_finish_what_they_do(tmp_path: Path) -> None:
    """New code is used by the next invocation; one that runs is not disturbed."""
    code = tmp_path / "changing.py"
    code.write_text(
        "import time, pathlib\n"
        "def handler(event, context):\n"
        "    pathlib.Path(event).touch()\n"
        "    while not pathlib.Path(event + '.end').exists(): time.sleep(0.01)\n"
        "    return 'old'\n"
    )
    async with open_stage() as stage:
        pool = stage.pool("handler", module="changing", directory=tmp_path)
        answers: list[Any] = []

        async def invoke(event: str) -> None:
            answers.append(value(await pool.invoke(invocation(event))))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(invoke, str(tmp_path / "1"))
            await until((tmp_path / "1").exists)
            code.write_text("def handler(event, context):\n    return 'new code'\n")
            stage.host.retire()
            await invoke("")
            (tmp_path / "1.end").touch()

        assert answers == ["new code", "old"]
        await invoke("")
        assert answers[-1] == "new code"


async def test_closing_kills_everything(tmp_path: Path) -> None:
    """After the block there is no process left, what the function has started included."""
    (tmp_path / "parent.py").write_text(
        "import subprocess, time, pathlib\n"
        "def handler(event, context):\n"
        "    child = subprocess.Popen(['sleep', '60'])\n"
        "    pathlib.Path(event).write_text(str(child.pid))\n"
        "    pathlib.Path(event).rename(event + '.ready')\n"
        "    time.sleep(60)\n"
    )
    async with trio.open_nursery() as nursery:
        async with open_stage() as stage:
            pool = stage.pool("handler", module="parent", directory=tmp_path)
            nursery.start_soon(pool.invoke, invocation(str(tmp_path / "child")))
            await until((tmp_path / "child.ready").exists)
            pids = [*stage.host.pids, int((tmp_path / "child.ready").read_text())]
        for pid in pids:
            await gone(pid)
        # The invocation has not failed: nobody is told anything about it.
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()


@pytest.mark.slow
async def test_workers_do_not_outlive_a_killed_service(tmp_path: Path) -> None:
    """``kill -9`` of the service ends its workers, in the middle of whatever they do."""
    script = tmp_path / "service.py"
    script.write_text(
        "import sys, trio\n"
        f"sys.path[:0] = {[str(ROOT), str(ROOT / 'tests')]!r}\n"
        "from serve.calls import invocation, open_stage\n"
        "async def main():\n"
        "    async with open_stage() as stage:\n"
        "        pool = stage.pool('misbehave')\n"
        "        await pool.invoke(invocation({'sleep': 60, 'touch': sys.argv[1] + '/begun'}))\n"
        "trio.run(main)\n"
    )
    service = await trio.lowlevel.open_process([sys.executable, str(script), str(tmp_path)])
    try:
        await until((tmp_path / "begun").exists)
        workers = [pid for pid in descendants(service.pid) if pid != service.pid]
        assert workers
    finally:
        service.kill()
        await service.wait()
    for pid in workers:
        await gone(pid)


def descendants(pid: int) -> list[int]:
    """Return the process and all that it has started."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    if not children.exists():
        pytest.skip("needs /proc/PID/task/PID/children to find the workers")
    # Processes are started by any thread of the service.
    found = [
        int(child)
        for task in Path(f"/proc/{pid}/task").iterdir()
        for child in (task / "children").read_text().split()
    ]
    return [pid, *(other for child in found for other in descendants(child))]


async def test_lines_belong_to_the_invocation_that_printed_them(runtime: str) -> None:
    """All that was written before the answer is there with the answer, a line without an end excepted."""
    async with open_stage() as stage:
        pool = stage.pool("talk", runtime=runtime)
        await pool.invoke(invocation(1, request_id="first"))
        seen = list(stage.lines)
        await pool.invoke(invocation(2, request_id="second"))

    texts = [text for about, text in seen if about == "first"]
    assert {"printed 1", "to stderr", "one"} <= set(texts)
    assert any(text.startswith("[WARNING]\t") and text.endswith("\tfirst\twarned") for text in texts)
    assert ("second", "two, without an endprinted 2") in stage.lines


async def test_json_logs_have_lambdas_members(runtime: str) -> None:
    """With ``log_format="JSON"`` each log line is an object; what is printed stays as it is."""
    async with open_stage() as stage:
        await stage.pool("talk", runtime=runtime, log_format="JSON").invoke(invocation(7, request_id="r"))
        (line,) = [json.loads(text) for _, text in stage.lines if text.startswith("{")]

    assert line.pop("timestamp")
    assert line == {"level": "WARNING", "message": "warned", "logger": "app", "requestId": "r", "order": 7}


async def test_a_chatterbox_does_not_hold_up_its_answer() -> None:
    """A thread that prints for ever leaves the worker usable."""
    async with open_stage() as stage:
        pool = stage.pool("talk_later")
        with trio.fail_after(20):
            for _ in range(3):
                assert value(await pool.invoke(invocation(None))) == "told"


async def test_starts_are_not_all_at_once() -> None:
    """Only so many workers start at a time; what those can do that are there, no further one is started for."""
    async with open_stage() as stage:
        stage.host._starts.total_tokens = 2
        pool = stage.pool("answer", max_workers=50)
        async with trio.open_nursery() as nursery:
            for number in range(50):
                nursery.start_soon(pool.invoke, invocation(number))
        assert len(pool.pids) < 40


async def test_a_worker_that_is_killed_while_it_starts_is_replaced(tmp_path: Path) -> None:
    """Nobody knows why it died: another one is tried, and the invocation does not notice."""
    (tmp_path / "fragile.py").write_text(
        "import os, pathlib, signal\n"
        f"mark = pathlib.Path({str(tmp_path)!r}, 'mark')\n"
        "if not mark.exists():\n"
        "    mark.touch()\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "def handler(event, context): return 'well'\n"
    )
    async with open_stage() as stage:
        pool = stage.pool("handler", module="fragile", directory=tmp_path)
        assert value(await pool.invoke(invocation(None))) == "well"


async def test_other_systems_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where process groups cannot be killed, workers could be left behind."""
    monkeypatch.delattr(os, "killpg")
    with pytest.raises(ConfigurationError, match="worker processes need a POSIX system"):
        async with open_stage():
            pass


async def test_idle_seconds_must_be_positive() -> None:
    """The message names the argument and the value."""
    with pytest.raises(ValidationError, match="idle_seconds must be more than 0, not 0"):
        async with open_worker_host("us-east-1", on_line=lambda *_: None, idle_seconds=0):
            pass


def test_reprs_say_where_things_stand() -> None:
    """A pool tells its numbers."""

    async def main() -> None:
        async with open_stage() as stage:
            pool = stage.pool("answer")
            await pool.invoke(invocation(1))
            assert repr(pool).startswith("<WorkerPool of answer, 1 workers")
            assert repr(stage.host) == "<WorkerHost 1 functions, 1 processes>"

    trio.run(main)
