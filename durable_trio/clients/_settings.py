"""Whether the environment says all that there is to know about Lambda's endpoint. Pure: it is an argument.

On Lambda it does: a region, keys, perhaps an endpoint, and nothing else that boto3 would look at. Then the client
needs no session and no client of boto3's. *Anything* else that boto3 might take into account leaves the matter to boto3: a profile, a
configuration file, a proxy, FIPS or dual-stack endpoints, a partition of its own, credentials from a role,
and any variable ``AWS_...`` that is not known here to make no difference. So the short way never has to imitate
boto3 where it is clever, and a setting that a later boto3 understands is boto3's from the start.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from durable_trio._protocol.value_class import frozen_dataclass as dataclass

if TYPE_CHECKING:
    from collections.abc import Mapping

# What is read here, what Lambda sets without a meaning for boto3's requests, and what the client sets itself.
_KNOWN: Final = frozenset(
    {
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
        "AWS_ENDPOINT_URL",
        "AWS_CA_BUNDLE",
        "AWS_CONFIG_FILE",
        "AWS_SHARED_CREDENTIALS_FILE",
        "AWS_EXECUTION_ENV",
        "AWS_MAX_ATTEMPTS",
        "AWS_RETRY_MODE",
        "AWS_EC2_METADATA_DISABLED",
    }
)
_KNOWN_FAMILIES: Final = ("AWS_LAMBDA_", "AWS_XRAY_", "AWS_DURABLE_", "AWS_ENDPOINT_URL_")
_DECIDED_BY_BOTO3: Final = (
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
)
# The partition "aws", as botocore's partitions.json has it. The others have other domains.
_REGION: Final = re.compile(r"(us|eu|ap|sa|ca|me|af|il|mx)-[a-z0-9]+-\d+")
_LABEL: Final = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_URL: Final = re.compile(rf"(https?)://({_LABEL}(?:\.{_LABEL})*)(?::(\d{{1,5}}))?/?")
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme, host and port of an endpoint."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        port = "" if self.port == _DEFAULT_PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{self.host}{port}"


@dataclass(frozen=True, slots=True)
class Keys:
    """Credentials, with the names that botocore's signer reads; *token* is empty for those that last.

    Its repr tells no secret.
    """

    access_key: str
    secret_key: str
    token: str = ""

    def __repr__(self) -> str:
        return f"Keys({self.access_key!r})"


@dataclass(frozen=True, slots=True)
class Settings:
    """Where Lambda is, and who calls; *ca_bundle* is the path of the certificates to trust, None: the usual ones."""

    origin: Origin
    region_name: str
    keys: Keys
    ca_bundle: str | None = None


def plain_settings(
    environment: Mapping[str, str], *, region_name: str | None, endpoint_url: str | None
) -> Settings | None:
    """Return the settings if *environment* and the arguments are all that counts; None: ask boto3.

    Files are not looked at: that there are none to be read is for the caller to see.
    """
    if not all(map(_makes_no_difference, environment)) or any(map(environment.get, _DECIDED_BY_BOTO3)):
        return None
    region = region_name or environment.get("AWS_DEFAULT_REGION") or environment.get("AWS_REGION")
    access_key = environment.get("AWS_ACCESS_KEY_ID")
    secret_key = environment.get("AWS_SECRET_ACCESS_KEY")
    if not (region and access_key and secret_key):
        return None
    url = (
        endpoint_url
        or environment.get("AWS_ENDPOINT_URL_LAMBDA")
        or environment.get("AWS_ENDPOINT_URL")
        or (f"https://lambda.{region}.amazonaws.com" if _REGION.fullmatch(region) else "")
    )
    origin = _origin(url)
    token = environment.get("AWS_SESSION_TOKEN", "")
    if origin is None or not _is_ascii(region, access_key, secret_key, token):
        return None
    return Settings(
        origin=origin,
        region_name=region,
        keys=Keys(access_key, secret_key, token),
        ca_bundle=environment.get("AWS_CA_BUNDLE") or environment.get("REQUESTS_CA_BUNDLE"),
    )


def _makes_no_difference(name: str) -> bool:
    return not name.startswith("AWS_") or name in _KNOWN or name.startswith(_KNOWN_FAMILIES)


def _origin(url: str) -> Origin | None:
    match = _URL.fullmatch(url)
    if match is None:
        return None
    scheme, host, port = match.groups()
    number = int(port or _DEFAULT_PORTS[scheme])
    return Origin(scheme, host, number) if 0 < number < 65536 else None


def _is_ascii(*texts: str) -> bool:
    return all(text.isascii() and text.isprintable() and " " not in text for text in texts)
