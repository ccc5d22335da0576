# SPDX-License-Identifier: Apache-2.0
"""A connection's fields, checked: everything a client needs to know, and nothing of Airflow."""

from __future__ import annotations

import ipaddress
import json
import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache
from importlib import metadata
from typing import Any
from urllib.parse import urlsplit

from airflow_provider_dreambooth import __version__
from airflow_provider_dreambooth.api.endpoints import FETCHES
from airflow_provider_dreambooth.api.exchange import SHORTEST_SECRET
from airflow_provider_dreambooth.api.pace import Pace

DEFAULT_HOST = "https://modelslab.com"
_HOST = r"(?=.{1,253}$)[\w-]{1,63}(\.[\w-]{1,63})*\.?|[0-9a-f:.]+"


@dataclass(frozen=True)
class ClientConfig:
    """
    Where the service is, who asks, and how fast.

    :param base_url: scheme, host and port, without ``/api``.
    :param api_key: in no repr.
    :param timeout: seconds to wait for a reply.
    :param verify: check TLS certificates; or the path of a CA bundle to check them with.
    :param proxy: URL; None: as the environment says.
    :param requests_per_second: per process; None: no limit.
    :param trusted_hosts: further hosts (lower case) that a redirect may carry the key to.
    """

    base_url: str
    api_key: str = field(repr=False)
    api_version: str = "v4"
    timeout: float = 30.0
    verify: bool | str = True
    proxy: str | None = field(default=None, repr=False)
    requests_per_second: float | None = None
    max_connections: int = 10
    trusted_hosts: tuple[str, ...] = ()

    @property
    def connect_timeout(self) -> float:
        """Seconds to wait for a connection: a host that is there answers sooner than its service."""
        return min(10.0, self.timeout)

    @property
    def is_private(self) -> bool:
        """Whether the service itself is at a private address or name, as a sandbox is."""
        host = urlsplit(self.base_url).hostname or ""
        try:
            return ipaddress.ip_address(host).is_private
        except ValueError:
            return "." not in host or host.endswith(
                (".localhost", ".local", ".internal", ".svc", ".lan", ".home.arpa")
            )


def from_fields(
    *, host: str | None, port: int | None, password: str | None, extra: Mapping[str, Any]
) -> ClientConfig:
    """
    Check the fields of a connection. Values may be text, as a connection URI gives them.

    :raises ValueError: naming the field, its value and what is accepted; it never quotes the key.
    """
    key = (password or "").strip()
    for name, value in {"host": host, **extra}.items():  # before any message quotes a field
        if len(key) >= SHORTEST_SECRET and (key in str(value) or key in name):
            field_name = "extra" if key in name else name
            raise ValueError(f"its {field_name} holds the API key, which belongs into the password alone")
    given = {name: value for name, value in extra.items() if value not in (None, "", [])}
    unknown = sorted(set(given) - set(_EXTRAS))
    if unknown:
        raise ValueError(
            f"unknown extra {', '.join(map(repr, unknown))}; known are {', '.join(map(repr, _EXTRAS))}"
        )
    options = {name: _EXTRAS[name](name, value) for name, value in given.items()}
    if not key:
        raise ValueError("it has no API key: put it into the password field")
    if not key.isprintable():
        raise ValueError("its API key (the password) holds characters that cannot be printed")
    return ClientConfig(base_url=_base_url(host, port), api_key=key, **options)


@lru_cache(maxsize=64)
def pace_of(config: ClientConfig) -> Pace:
    """Return the pace of a connection: one in this process, whichever client asks."""
    return Pace(config.requests_per_second)


@cache
def user_agent(library: str) -> str:
    """Name this provider, Airflow and the HTTP library with their versions, as the service's logs see us."""
    products = ["airflow-provider-dreambooth/" + __version__]
    for name in ("apache-airflow-core", "apache-airflow", library):
        try:
            products.append(f"{name}/{metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue
    return " ".join(products)


def _base_url(host: str | None, port: int | None) -> str:
    text = (host or "").strip() or DEFAULT_HOST
    if "://" not in text:
        text = f"https://{text}"
    try:
        parts = urlsplit(text)
        named_port = parts.port
    except ValueError:
        parts, named_port = urlsplit(""), None
    usable = parts.scheme in ("http", "https") and re.fullmatch(_HOST, parts.hostname or "")
    if not usable or not text.isprintable() or " " in text or parts.query or parts.fragment:
        raise ValueError(
            "its host is no base URL; accepted is a name such as 'modelslab.com', or an address with its "
            "scheme such as 'http://localhost:8765'"
        )
    if parts.username or parts.password:
        raise ValueError("its host holds a user name; the key belongs into the password field")
    if re.search(r"/api(/|$)", parts.path):
        raise ValueError(
            f"its host ends in {parts.path!r}; give the base URL only, the paths below /api are added"
        )
    if port and not 0 < port < 65536:
        raise ValueError(f"its port is {port}; accepted is 1 to 65535")
    netloc = parts.netloc.removeprefix("@").removesuffix(":")
    if port and not named_port:
        netloc = f"{netloc}:{port}"
    return f"{parts.scheme}://{netloc}{parts.path.rstrip('/')}"


def _wrong(name: str, value: object, accepted: str) -> ValueError:
    shown = "" if name == "proxy" else f" is {str(value)[:100]!r}"
    return ValueError(f"extra {name!r}{shown}; accepted is {accepted}")


def _api_version(name: str, value: object) -> str:
    if not isinstance(value, str) or value not in FETCHES:
        raise _wrong(name, value, ", ".join(FETCHES))
    return value


def _number(name: str, value: object, least: float, most: float, accepted: str) -> float:
    try:
        number = (
            float(value) if isinstance(value, (int, float, str)) and not isinstance(value, bool) else None
        )
    except (ValueError, OverflowError):
        number = None
    if number is None or not least <= number <= most:
        raise _wrong(name, value, accepted)
    return number


def _timeout(name: str, value: object) -> float:
    return _number(name, value, 0.1, 3600, "a number of seconds from 0.1 to 3600")


def _requests_per_second(name: str, value: object) -> float:
    return _number(name, value, 0.001, 10_000, "a number from 0.001 to 10000")


def _max_connections(name: str, value: object) -> int:
    number = _number(name, value, 1, 1000, "a whole number from 1 to 1000")
    if number != int(number):
        raise _wrong(name, value, "a whole number from 1 to 1000")
    return int(number)


def _verify(name: str, value: object) -> bool | str:
    if isinstance(value, bool):
        return value
    text = str(value).strip()
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        ssl.create_default_context(cafile=text)
    except (OSError, ValueError):  # no such file, no certificates in it, or a certificate's text itself
        raise _wrong(name, value, "true, false, or the path of an existing CA bundle") from None
    return text


def _proxy(name: str, value: object) -> str:
    accepted = "a URL such as 'http://proxy.example.com:3128'"
    try:
        parts = urlsplit(str(value))
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise _wrong(name, value, accepted)
    return str(value)


def _trusted_hosts(name: str, value: object) -> tuple[str, ...]:
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = json.loads(value)
        except ValueError:
            raise _wrong(name, value, "a list of host names") from None
    hosts = value.split(",") if isinstance(value, str) else value
    if not isinstance(hosts, (list, tuple)) or not all(isinstance(host, str) for host in hosts):
        raise _wrong(name, value, "a list of host names")
    names = tuple(host.strip().lower() for host in hosts)
    for host in names:
        if not re.fullmatch(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", host):
            raise _wrong(name, host, "a list of bare host names, without scheme, port or path")
    return names


_EXTRAS: dict[str, Callable[[str, object], Any]] = {
    "api_version": _api_version,
    "timeout": _timeout,
    "verify": _verify,
    "proxy": _proxy,
    "requests_per_second": _requests_per_second,
    "max_connections": _max_connections,
    "trusted_hosts": _trusted_hosts,
}
