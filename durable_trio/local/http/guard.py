"""Whose requests are not answered at all: those that a web page makes.

The endpoint asks nobody for credentials: who can reach it may use it. On loopback those are the programs of
this machine, and one of them is the browser, which runs programs of strangers. Three rules keep them out.

1. *Host.* A page can have its own name resolve to 127.0.0.1 and then talk to "itself" (DNS rebinding). Its
   requests have that name in ``Host``. So a name has to be ``localhost`` (or below it) or an allowed one. An IP
   address cannot be rebound, and is fine.
2. *Origin.* A browser says where a request comes from whenever it may change something, and whenever a script
   wants to read the answer. SDKs and command lines never send this header. No page is at home here, so no value
   of it is allowed.
3. *Sec-Fetch-Site.* Images, links and frames come without ``Origin`` but with this header, on loopback. Only
   what the user typed (``none``) or this endpoint itself (``same-origin``) may pass.
"""

from __future__ import annotations

import functools
import ipaddress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_FRIENDLY_SITES: Final = frozenset({"none", "same-origin"})


def why_refused(headers: Mapping[str, str], allowed_hosts: tuple[str, ...]) -> str | None:
    """Say why a request is not to be answered; None if it may be.

    Args:
        headers: by lower-case name.
        allowed_hosts: names that are allowed beside ``localhost`` and IP addresses.
    """
    host = headers.get("host", "")
    if not _is_allowed(host, allowed_hosts):
        return (
            f"this endpoint is not called {host!r}: use localhost or an IP address, or allow the name "
            "(allowed_hosts)"
        )
    if "origin" in headers:
        return "requests of web pages are not answered (there is an Origin header)"
    site = headers.get("sec-fetch-site", "none")
    if site not in _FRIENDLY_SITES:
        return f"requests of web pages are not answered (Sec-Fetch-Site is {site!r})"
    return None


@functools.lru_cache(maxsize=64)
def _is_allowed(host: str, allowed_hosts: tuple[str, ...]) -> bool:
    name = _without_port(host).lower().removesuffix(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    return _is_address(name) or name in {allowed.lower() for allowed in allowed_hosts}


def _without_port(host: str) -> str:
    if host.startswith("["):
        address, bracket, port = host[1:].partition("]")
        return address if bracket and (not port or port.startswith(":")) else ""
    name, colon, port = host.partition(":")
    return name if not colon or port.isdecimal() else ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
