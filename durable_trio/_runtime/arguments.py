"""What the methods of ``DurableContext`` accept, and what they say about the rest.

Everything is checked when the method is called: nothing is recorded, no id is taken before that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

from durable_trio._protocol import limits
from durable_trio._protocol.operation import CallbackOptions
from durable_trio._runtime.bodies import fitting_name
from durable_trio._runtime.operation import Operation
from durable_trio.config import (
    Branch,
    CompletionConfig,
    ItemBatcher,
    NestingType,
    StepSemantics,
    check_name,
    check_plain,
    exact_seconds,
    whole_seconds,
)
from durable_trio.exceptions import DurableError, SerDesError, ValidationError
from durable_trio.retries import RetryPresets, RetryStrategy
from durable_trio.serdes import SerDes, SerdesContext, plain_json

if TYPE_CHECKING:
    from durable_trio._runtime.node import ContextNode

_DEFAULT_STRATEGY: Final = RetryPresets.default()


def strategy(retry: RetryStrategy | None) -> RetryStrategy:
    if retry is None:
        return _DEFAULT_STRATEGY
    check_plain("retry", retry)
    return retry


def semantics(semantics: object) -> bool:
    """Tell whether *semantics* is at-most-once."""
    if semantics is None:
        return False
    try:
        return StepSemantics(semantics) is StepSemantics.AT_MOST_ONCE_PER_RETRY  # type: ignore[arg-type]
    except ValueError:
        raise ValidationError(
            f"semantics must be one of {', '.join(StepSemantics)}, not {semantics!r}"
        ) from None


def timeout(limit: object) -> float:
    seconds = exact_seconds("timeout", limit)
    if seconds <= 0:
        raise ValidationError(f"timeout must be more than 0 seconds, not {limit!r}")
    return seconds


def sub_type(sub_type: object) -> str | None:
    if sub_type is None:
        return None
    if not isinstance(sub_type, str) or limits.SUB_TYPE.fullmatch(sub_type) is None:
        raise ValidationError(
            f"sub_type must be 1 to 32 letters, digits, hyphens and underscores, not {sub_type!r}"
        )
    return sub_type


def callback_options(timeout: object, heartbeat_timeout: object) -> CallbackOptions:
    def seconds(argument: str, value: object) -> int:
        if value is None:
            return 0
        return whole_seconds(argument, value, at_least=0, at_most=limits.MAX_CALLBACK_TIMEOUT_SECONDS)

    return CallbackOptions(
        timeout_seconds=seconds("timeout", timeout),
        heartbeat_timeout_seconds=seconds("heartbeat_timeout", heartbeat_timeout),
    )


def checked_serdes(serdes: object) -> SerDes | None:
    if serdes is not None and not isinstance(serdes, SerDes):
        raise ValidationError(
            f"serdes must have the methods serialize and deserialize, and {serdes!r} has not"
        )
    return serdes


def elements(items: object) -> Sequence[Any]:
    if isinstance(items, (str, bytes)) or not isinstance(items, Iterable):
        raise ValidationError(f"items must be an iterable of items, not {type(items).__name__}")
    if isinstance(items, (set, frozenset)):
        raise ValidationError(
            "items must have an order that is the same on replay, and a set has none: pass sorted(items)"
        )
    return list(items)


def completion(completion: object, total: int) -> CompletionConfig:
    if completion is None:
        return CompletionConfig()
    if not isinstance(completion, CompletionConfig):
        raise ValidationError(f"completion must be a CompletionConfig, not {completion!r}")
    wanted = completion.min_successful
    if wanted is not None and total and wanted > total:
        raise ValidationError(f"min_successful must be at most the number of items, {total}, not {wanted}")
    return completion


def item_names(
    namer: Callable[[Any, int], str] | None, groups: Sequence[tuple[int, Any]]
) -> list[str | None] | None:
    if namer is None:
        return None
    check_plain("item_namer", namer)
    names: list[str | None] = []
    for index, item in groups:
        name = check_name(namer(item, index))
        if name is None:
            raise ValidationError(f"item_namer must return a name, and returned None for item {index}")
        names.append(name)
    return names


def groups(elements: Sequence[Any], batch: object, serdes: SerDes) -> Sequence[tuple[int, Any]]:
    """Return what each branch of a map gets, with its index: an item, or a list of items and its start."""
    if batch is None:
        return list(enumerate(elements))
    if not isinstance(batch, ItemBatcher):
        raise ValidationError(f"batch must be an ItemBatcher, not {batch!r}")
    return batch.group(elements, lambda item: _size_of(item, serdes))


def _size_of(item: Any, serdes: SerDes) -> int:
    context = SerdesContext(operation_id="", execution_arn="")
    try:
        return len(serdes.serialize(item, context).encode())
    except SerDesError:
        # An item of a class of the user's, which only a type would store; it is measured here, not stored.
        return len(plain_json.serialize(item, context).encode())


def branches(branches: object) -> list[Branch[Any]]:
    if not isinstance(branches, Iterable) or isinstance(branches, (str, bytes, set, frozenset, dict)):
        raise ValidationError(f"branches must be an ordered iterable of functions, not {branches!r}")
    return [branch if isinstance(branch, Branch) else Branch(branch) for branch in branches]


def operations(combinator: str, given: object) -> list[Operation[Any]]:
    """Return what a combinator was given, if that is operations in an order that replay gives again."""
    if not isinstance(given, Iterable) or isinstance(given, (str, bytes, set, frozenset, dict)):
        raise ValidationError(
            f"{combinator} takes an ordered iterable of operations, such as a list, not {given!r}"
        )
    found = list(given)
    for operation in found:
        if not isinstance(operation, Operation):
            raise ValidationError(
                f"{combinator} takes operations of this context, not {operation!r}: pass ctx.step(...) itself,"
                " without awaiting it"
            )
    return found


def contenders(
    combinator: str, node: ContextNode, given: object, *, may_be_empty: bool = False
) -> list[Operation[Any]]:
    """Return the operations that *node* gives to a combinator, claimed for it."""
    node.check_use("combine operations")
    found = operations(combinator, given)
    if not found and not may_be_empty:
        raise ValidationError(f"{combinator} needs at least one operation: with none, it would never end")
    claimed: list[Operation[Any]] = []
    try:
        for operation in found:
            operation.claim(combinator, node)
            claimed.append(operation)
    except DurableError:
        for operation in claimed:
            operation.unclaim()
        raise
    return found


def is_flat(nesting: object) -> bool:
    if nesting is None:
        return False
    try:
        return NestingType(nesting) is NestingType.FLAT  # type: ignore[arg-type]  # that is what is checked
    except ValueError:
        raise ValidationError(f"nesting must be one of {', '.join(NestingType)}, not {nesting!r}") from None


def text(argument: str, value: object) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= limits.MAX_NAME_LENGTH:
        raise ValidationError(
            f"{argument} must be text of 1 to {limits.MAX_NAME_LENGTH} characters, not {value!r}"
        )
    return value


def derived_name(title: str | None, role: str) -> str:
    return fitting_name(f"{title} {role}" if title is not None else role)
