from __future__ import annotations

import copy
import inspect
import pickle

import pytest
import trio

from durable_trio import exceptions
from durable_trio._protocol.operation import ErrorObject
from durable_trio.exceptions import (
    CallbackError,
    CallbackExternalError,
    CallbackSubmitterError,
    CallbackTimeoutError,
    CheckpointError,
    ChildContextError,
    DurableError,
    DurableTimeoutError,
    GetStateError,
    InvalidTokenError,
    InvokeError,
    MapError,
    OperationCancelledError,
    OperationError,
    RetryableSerDesError,
    SerDesError,
    ServiceError,
    SizeLimitError,
    StepError,
    StepInterruptedError,
    StepTimeoutError,
    ThrottlingError,
    ValidationError,
    WaitForConditionError,
)

CLASSES = [
    class_
    for class_ in vars(exceptions).values()
    if inspect.isclass(class_)
    and issubclass(class_, BaseException)
    and class_.__module__ == exceptions.__name__
]
OPERATION_ERRORS = [class_ for class_ in CLASSES if issubclass(class_, OperationError)]


def test_every_error_is_public() -> None:
    """Every class of the module is in its sorted ``__all__``."""
    assert sorted(class_.__name__ for class_ in CLASSES) == exceptions.__all__


@pytest.mark.parametrize("class_", CLASSES)
def test_every_error_has_the_one_root(class_: type[BaseException]) -> None:
    """``except DurableError`` catches all of them, and each of them says what it is for."""
    assert issubclass(class_, DurableError)
    assert class_.__doc__


@pytest.mark.parametrize(
    ("class_", "base"),
    [
        (StepError, OperationError),
        (StepTimeoutError, StepError),
        (StepInterruptedError, StepError),
        (InvokeError, OperationError),
        (ChildContextError, OperationError),
        (WaitForConditionError, OperationError),
        (MapError, OperationError),
        (CallbackError, OperationError),
        (CallbackExternalError, CallbackError),
        (CallbackTimeoutError, CallbackError),
        (CallbackSubmitterError, CallbackError),
        (DurableTimeoutError, trio.TooSlowError),
        (ValidationError, ValueError),
        (RetryableSerDesError, SerDesError),
        (CheckpointError, ServiceError),
        (GetStateError, ServiceError),
        (ThrottlingError, ServiceError),
        (InvalidTokenError, ServiceError),
        (SizeLimitError, ServiceError),
    ],
)
def test_families(class_: type[BaseException], base: type[BaseException]) -> None:
    """An error belongs to the family of who must act."""
    assert issubclass(class_, base)


def test_a_cancelled_operation_has_not_failed() -> None:
    """Being cancelled as a loser is no failure of the operation's own."""
    assert not issubclass(OperationCancelledError, OperationError)


RECORDED = ErrorObject(message="not enough", type="QuotaError", data='{"n":1}', stack=("a", "b"))


@pytest.mark.parametrize("class_", OPERATION_ERRORS)
def test_a_recorded_failure_is_raised_with_all_that_was_recorded(class_: type[OperationError]) -> None:
    """``str(error)`` is exactly the recorded message; everything else is an attribute."""
    error = class_.from_recorded(RECORDED, operation_id="a1", name="charge")

    assert type(error) is class_
    assert str(error) == error.message == "not enough"
    assert (error.error_type, error.data, error.stack) == ("QuotaError", '{"n":1}', ("a", "b"))
    assert (error.operation_id, error.operation_name) == ("a1", "charge")


@pytest.mark.parametrize("recorded", [None, ErrorObject()])
def test_a_failure_without_details_is_an_error_all_the_same(recorded: ErrorObject | None) -> None:
    """A record may lack every part of its error; the type is then the class's own."""
    error = StepError.from_recorded(recorded, operation_id="a1", name=None)

    assert (str(error), error.error_type, error.data, error.stack) == ("", "StepError", None, ())


@pytest.mark.parametrize("class_", OPERATION_ERRORS)
def test_errors_can_be_copied(class_: type[OperationError]) -> None:
    """An error survives pickling and copying, with its attributes: worker processes and tools do that."""
    error = class_.from_recorded(RECORDED, operation_id="a1", name="charge")

    for copied in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert type(copied) is class_
        assert copied.args == error.args
        assert vars(copied) == vars(error)


def test_a_map_error_holds_the_errors_of_its_items() -> None:
    """The errors of all failed items are there, in order."""
    errors = [StepError("one"), StepError("two")]

    assert MapError("2 items failed", errors=errors).errors == tuple(errors)
    assert MapError("none known").errors == ()


@pytest.mark.parametrize(
    ("class_", "is_retryable"),
    [
        (ServiceError, False),
        (CheckpointError, False),
        (GetStateError, False),
        (ThrottlingError, True),
        (InvalidTokenError, True),
        (SizeLimitError, False),
    ],
)
def test_a_service_error_knows_whether_a_new_invocation_may_help(
    class_: type[ServiceError], is_retryable: bool
) -> None:
    """Each class has its default, and whoever raises it may know better."""
    assert class_("x").is_retryable is is_retryable
    assert class_("x", is_retryable=not is_retryable).is_retryable is not is_retryable
    assert class_("x").code is None
    assert class_("x", code="ServiceException").code == "ServiceException"
