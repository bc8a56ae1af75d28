"""The methods of a local service that are about functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from durable_trio.exceptions import ValidationError
from durable_trio.local.calls import PayloadTarget, RemoteRunner
from durable_trio.local.function_config import LATEST, FunctionConfig, FunctionDescription
from durable_trio.local.functions import DurableRunner, FunctionTarget, PlainRunner, PlainTarget
from durable_trio.local.service_base import ServiceBase

if TYPE_CHECKING:
    from durable_trio.local.client import LocalClient


class FunctionMethods(ServiceBase):
    """Making functions known, and asking for them."""

    def client(self) -> LocalClient:
        """Return the client by which a durable function reaches this service."""
        return self._client

    def register(
        self,
        function_name: str,
        target: FunctionTarget,
        *,
        timeout_seconds: float | None = None,
        config: FunctionConfig | None = None,
        replace: bool = False,
    ) -> None:
        """Make a durable function of this process known, so that executions of it can be started.

        Args:
            function_name: 1 to 64 of ``[a-zA-Z0-9-_]``.
            target: called as ``await target(event, lambda_context, client=...)``; the bound method ``invoke``
                of a durable handler is one.
            timeout_seconds: how long one invocation may take before it is cut off, more than 0; short for a *config*
                that says nothing else. The default is 900.
            config: see ``FunctionConfig``.
            replace: whether a function of this name and version may be there; invocations of it that run go on.

        Raises:
            ValidationError: the name or the time-out is out of range, the name is taken, or both *timeout_seconds*
                and *config* are given.
        """
        runner = DurableRunner(target, self._client, self.settings.memory_limit_in_mb)
        self._registry.add(
            function_name,
            runner,
            kind="in-process",
            is_durable=True,
            config=_config(timeout_seconds, config),
            replace=replace,
        )
        self._make_room(function_name)

    def register_plain(
        self,
        function_name: str,
        target: PlainTarget,
        *,
        timeout_seconds: float | None = None,
        config: FunctionConfig | None = None,
        replace: bool = False,
    ) -> None:
        """Make a function of this process known that is not durable: chained invokes may call it.

        *target* is called as ``target(event, lambda_context)``, in a worker thread if it is not async, and answers
        with a JSON value. A thread cannot be stopped: after the time-out it is left to itself. The rest is as for
        ``register``.

        Raises:
            ValidationError: as ``register``.
        """
        runner = PlainRunner(target, self.clock, self.settings.memory_limit_in_mb)
        self._registry.add(
            function_name,
            runner,
            kind="in-process",
            is_durable=False,
            config=_config(timeout_seconds, config),
            replace=replace,
        )
        self._make_room(function_name)

    def register_remote(
        self,
        function_name: str,
        target: PayloadTarget,
        *,
        is_durable: bool = True,
        config: FunctionConfig | None = None,
        replace: bool = False,
    ) -> None:
        """Make a function known that runs elsewhere; *target* takes JSON text there and brings JSON text back.

        The function reaches the service by another road than *target*: over HTTP, say.

        Raises:
            ValidationError: as ``register``.
        """
        self._registry.add(
            function_name,
            RemoteRunner(target),
            kind="remote",
            is_durable=is_durable,
            config=_config(None, config),
            replace=replace,
        )
        self._make_room(function_name)

    def unregister(self, function_name: str, version: str = LATEST) -> None:
        """Forget a version of a function. Its invocations that run go on; those that become due wait for it.

        Raises:
            ResourceNotFound: it is not registered.
        """
        self._registry.remove(function_name, version)

    def functions(self) -> tuple[FunctionDescription, ...]:
        """Return every version of every function, by name and version."""
        return self._registry.descriptions()

    def function(self, function_name: str, qualifier: str | None = None) -> FunctionDescription:
        """Describe a function, given by name or ARN, with or without a qualifier in it.

        Raises:
            ResourceNotFound: there is no such function, version or alias.
            InvalidParameterValue: this names no function, or two qualifiers contradict each other.
        """
        return self._registry.resolve(function_name, qualifier).description


def _config(timeout_seconds: float | None, config: FunctionConfig | None) -> FunctionConfig:
    if timeout_seconds is None:
        return FunctionConfig() if config is None else config
    if config is not None:
        raise ValidationError("timeout_seconds and config exclude each other: set config's timeout_seconds")
    return FunctionConfig(timeout_seconds=timeout_seconds)
