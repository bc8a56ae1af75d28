"""Exception classes of the user's that are raised as themselves, on the first run and on replay.

Normally a failed step raises ``StepError`` with the name of the original type, because the original object
is gone when the execution replays. A class registered with ``@durable_error`` is recorded with the arguments
it was made from, and made from them again. Only registered classes are ever made from recorded data: nothing
is imported or looked up by a name that was stored.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final, TypeVar

from durable_trio._protocol import json_values
from durable_trio._protocol.json_leaves import JsonValueError
from durable_trio.exceptions import ConfigurationError, DurableError, SerDesError

if TYPE_CHECKING:
    from collections.abc import Callable

    from durable_trio._protocol.operation import ErrorObject

__all__ = ["durable_error"]

ErrorT = TypeVar("ErrorT", bound=type[Exception])

_ARGUMENTS: Final = "__durable_arguments__"
_registry: dict[str, type[Exception]] = {}


def durable_error(cls: ErrorT) -> ErrorT:
    """Register an exception class: it is recorded with its arguments and raised as itself.

    The arguments of its constructor must be values that the default serializer takes. The class's name is
    recorded in executions, so it must be unique among registered classes, and stay.

    Raises:
        ConfigurationError: not a class of the user's own, or another one has the same name.
    """
    if not isinstance(cls, type) or not issubclass(cls, Exception) or issubclass(cls, DurableError):
        raise ConfigurationError(f"@durable_error takes an exception class of your own, not {cls!r}")
    known = _registry.get(cls.__name__)
    # A module that is loaded twice (reloading, running as a script) brings the same class again.
    if known is not None and (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
        raise ConfigurationError(
            f"another class named {cls.__name__!r} is registered already:"
            f" {known.__module__}.{known.__qualname__}. Names are recorded, so they must differ: rename one"
        )
    _remember_arguments(cls)
    _registry[cls.__name__] = cls
    return cls


def _remember_arguments(cls: type[Exception]) -> None:
    initialize: Callable[..., None] = cls.__init__

    @functools.wraps(initialize)
    def __init__(self: Exception, *args: Any, **kwargs: Any) -> None:  # noqa: N807  # replaces the class's own
        # The outermost class wins: it is the one that will be made again.
        if not hasattr(self, _ARGUMENTS):
            setattr(self, _ARGUMENTS, (args, kwargs))
        initialize(self, *args, **kwargs)

    cls.__init__ = __init__  # type: ignore[assignment,method-assign]  # the point of the decorator


def encode_arguments(error: BaseException) -> str | None:
    """Return the recorded form of a registered error's arguments; None for any other error.

    Raises:
        SerDesError: an argument cannot be recorded.
    """
    if _registry.get(type(error).__name__) is not type(error):
        return None
    args, kwargs = getattr(error, _ARGUMENTS)
    try:
        return json_values.encode({"args": list(args), "kwargs": kwargs})
    except JsonValueError as problem:
        raise SerDesError(f"cannot record the arguments of {type(error).__name__}: {problem}") from error


def rebuild(recorded: ErrorObject) -> Exception | None:
    """Make a registered error again from its record; None if it is not the record of one.

    Raises:
        ConfigurationError: its class does not take the arguments that are recorded.
    """
    cls = _registry.get(recorded.type or "")
    if cls is None or recorded.data is None:
        return None
    try:
        arguments = json_values.decode(recorded.data)
    except JsonValueError:
        return None  # the data of another error that has the same name
    if not isinstance(arguments, dict) or set(arguments) != {"args", "kwargs"}:
        return None
    args, kwargs = arguments["args"], arguments["kwargs"]
    if (
        not isinstance(args, list)
        or not isinstance(kwargs, dict)
        or not all(type(key) is str for key in kwargs)
    ):
        return None
    try:
        return cls(*args, **kwargs)
    except Exception as error:
        shown = ", ".join(
            [f"{value!r:.40}" for value in args] + [f"{key}={kwargs[key]!r:.40}" for key in kwargs]
        )
        raise ConfigurationError(
            f"{cls.__module__}.{cls.__qualname__} cannot be made again from what was recorded, ({shown}): {error!r}."
            " Its constructor must go on taking the arguments that running executions have recorded: give new ones"
            " defaults, keep old ones, or deploy the change as a new version"
        ) from error
