"""Hypothesis strategies for what a function may send, allowed or not."""

from hypothesis import strategies as st
from protocol.service_side import ERROR

from durable_trio._protocol.operation import (
    CallbackOptions,
    ChainedInvokeOptions,
    ContextOptions,
    OperationAction,
    OperationType,
    OperationUpdate,
    StepOptions,
    UpdateOptions,
    WaitOptions,
)

# Few ids, so that updates meet; mostly well-formed members, so that many are accepted.
IDS = st.sampled_from(["a", "b", "c", "d"])
OPTIONS = {
    OperationType.EXECUTION: st.none(),
    OperationType.CONTEXT: st.none() | st.builds(ContextOptions, st.booleans()),
    OperationType.STEP: st.none(),
    OperationType.WAIT: st.builds(WaitOptions, st.integers(0, 20)),
    OperationType.CALLBACK: st.builds(CallbackOptions, st.integers(0, 20), st.integers(0, 20)),
    OperationType.CHAINED_INVOKE: st.builds(ChainedInvokeOptions, st.sampled_from(["known", "unknown"])),
}
TYPES = st.sampled_from([type_ for type_ in OperationType if type_ is not OperationType.EXECUTION])


@st.composite
def updates(draw: st.DrawFn) -> OperationUpdate:
    """An update that may or may not be allowed."""
    type_ = draw(TYPES)
    action = draw(st.sampled_from(list(OperationAction)))
    options: UpdateOptions | None = draw(OPTIONS[type_])
    error = payload = None
    if action is OperationAction.RETRY:
        options = StepOptions(draw(st.integers(1, 20)))
        error, payload = draw(st.sampled_from([(ERROR, None), (None, "1"), (None, None)]))
    elif action is OperationAction.FAIL:
        error = ERROR
    elif action is OperationAction.SUCCEED:
        payload = draw(st.none() | st.just("1"))
    parent = draw(st.none() | IDS)
    return OperationUpdate(draw(IDS), type_, action, parent, payload=payload, error=error, options=options)


REQUESTS = st.lists(st.lists(updates(), max_size=4), max_size=25)
