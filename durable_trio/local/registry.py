"""The functions that a service knows, by name and version.

A function is found by the qualifier it is asked for: a version, an alias of a version, or nothing, which means
``$LATEST`` or, if there is no such version, the only one. Who registers a function once, without saying what its
aliases are, does not care about versions, and any qualifier finds it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from durable_trio._protocol.value_class import frozen_dataclass
from durable_trio.exceptions import ValidationError
from durable_trio.local.errors import ResourceNotFound
from durable_trio.local.function_config import (
    LATEST,
    FunctionConfig,
    FunctionDescription,
    check_function_name,
    split_name,
)

if TYPE_CHECKING:
    from durable_trio._protocol.arns import ExecutionArn
    from durable_trio.clock import Clock
    from durable_trio.local.calls import Runner
    from durable_trio.local.settings import LocalSettings


@frozen_dataclass(frozen=True, slots=True)
class RegisteredFunction:
    """A function that the service knows, and what calls it."""

    description: FunctionDescription
    runner: Runner

    @property
    def name(self) -> str:
        """The bare name."""
        return self.description.name

    @property
    def config(self) -> FunctionConfig:
        """Its settings."""
        return self.description.config


class Registry:
    """Functions by name and version, and how many invocations of each are in flight."""

    def __init__(self, settings: LocalSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._functions: dict[str, dict[str, RegisteredFunction]] = {}
        self._running: dict[str, int] = {}

    def __len__(self) -> int:
        return sum(len(versions) for versions in self._functions.values())

    # --- what there is -----------------------------------------------------------------------------------

    def add(
        self,
        name: str,
        runner: Runner,
        *,
        kind: Literal["in-process", "remote"],
        is_durable: bool,
        config: FunctionConfig,
        replace: bool,
    ) -> None:
        """Make a version of a function known.

        Raises:
            ValidationError: the name is out of range, or the version is taken and not to be replaced.
        """
        check_function_name(name)
        versions = self._functions.get(name, {})
        if config.version in versions and not replace:
            which = "" if config.version == LATEST else f" in version {config.version}"
            raise ValidationError(f"function_name {name!r} is registered already{which}")
        description = FunctionDescription(
            name=name,
            arn=f"arn:aws:lambda:{self._settings.region}:{self._settings.account}:function:{name}",
            version=config.version,
            is_durable=is_durable,
            kind=kind,
            config=config,
            registered_at=self._clock.now(),
        )
        self._functions.setdefault(name, {})[config.version] = RegisteredFunction(description, runner)

    def remove(self, name: str, version: str) -> None:
        """Forget a version of a function.

        Raises:
            ResourceNotFound: it is not registered.
        """
        if self._functions.get(name, {}).pop(version, None) is None:
            raise ResourceNotFound(f"function {name!r} is not registered in version {version}")
        if not self._functions[name]:
            del self._functions[name]

    def descriptions(self) -> tuple[FunctionDescription, ...]:
        """Return every version of every function, by name and version."""
        return tuple(
            self._functions[name][version].description
            for name in sorted(self._functions)
            for version in sorted(self._functions[name])
        )

    def resolve(self, function: str, qualifier: str | None = None) -> RegisteredFunction:
        """Return the function that is meant by a name, with or without qualifier, or an ARN.

        Raises:
            ResourceNotFound: it is not registered.
            InvalidParameterValue: this names no function.
        """
        name, qualifier = split_name(function, qualifier)
        versions = self._functions.get(name)
        if versions is None:
            raise ResourceNotFound(f"function {name!r} is not registered with this service")
        found = versions.get(LATEST if qualifier is None else qualifier)
        for candidate in versions.values():
            if found is None and qualifier in (candidate.config.aliases or ()):
                found = candidate
        if found is None and len(versions) == 1:
            (only,) = versions.values()
            if qualifier is None or only.config.aliases is None:
                found = only
        if found is None:
            wanted = LATEST if qualifier is None else qualifier
            raise ResourceNotFound(f"function {name!r} has no version or alias {wanted!r}")
        return found

    def get(self, name: str, version: str) -> RegisteredFunction | None:
        """Return a version of a function; None if it is not registered."""
        return self._functions.get(name, {}).get(version)

    def of_execution(self, arn: ExecutionArn) -> RegisteredFunction | None:
        """Return the function of an execution, in the version it was started with; None if it is not registered."""
        return self.get(arn.function_name, arn.version)

    def check(self, arn: ExecutionArn) -> None:
        """Check that the function of an execution is registered.

        Raises:
            ResourceNotFound: it is not.
        """
        if self.of_execution(arn) is None:
            which = "" if arn.version == LATEST else f" in version {arn.version}"
            raise ResourceNotFound(
                f"function {arn.function_name!r} is not registered with this service{which}"
            )

    # --- how many run ------------------------------------------------------------------------------------

    def has_room(self, function: RegisteredFunction) -> bool:
        """Tell whether one more invocation of a function may be made now."""
        most = function.config.concurrency
        return most is None or self._running.get(function.name, 0) < most

    def may_begin(self, function: RegisteredFunction) -> bool:
        """Tell whether one more invocation of an execution may be begun, or is to wait its turn."""
        most = function.config.capacity
        return self.has_room(function) and (most is None or self._running.get(function.name, 0) < most)

    def note_started(self, name: str) -> None:
        """Count an invocation of a function."""
        self._running[name] = self._running.get(name, 0) + 1

    def note_ended(self, name: str) -> None:
        """Stop counting an invocation of a function."""
        self._running[name] -= 1
        if not self._running[name]:
            del self._running[name]
