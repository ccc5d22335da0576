# SPDX-License-Identifier: Apache-2.0
"""
Which picture links may be opened or passed on.

A link comes from a reply, so whoever can forge a reply chooses where the worker connects to. Links are
therefore judged twice: as text (:func:`check_link`), and by the address at the other end of the socket once
it is connected (:func:`check_address`), before anything is sent. The second look is what a name that resolves
to a private address, or to another one each time, does not get around. Behind a proxy the proxy decides what
is reachable.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from urllib.parse import urlsplit, urlunsplit

from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_NEVER = (  # where clouds keep the credentials of their machines: also with allow_private
    ipaddress.ip_network("169.254.0.0/16"),
    ipaddress.ip_network("fe80::/10"),
    ipaddress.ip_network("fd00:ec2::254/128"),
    ipaddress.ip_network("fd20:ce::254/128"),
    ipaddress.ip_network("100.100.100.200/32"),
    ipaddress.ip_network("168.63.129.16/32"),
    ipaddress.ip_network("192.0.0.192/32"),
)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_SITE_LOCAL = ipaddress.ip_network("fec0::/10")  # given up in 2004, and global to the ipaddress module
_PRIVATE_NAMES = re.compile(r"[^.]+|(.*\.)?(localhost|internal|local|lan|svc|home\.arpa)")
_SECRETS = re.compile(r"((?:sig|token|credential|key|expires)[\w-]{0,40}=)[^\s&'\"<>]+", re.IGNORECASE)
_LET = "allow_private_links=True lets such links be opened"


class LinkRefused(Exception):
    """A link that must not be opened; the text says why, without its query string."""


def check_link(url: str, *, allow_private: bool) -> str | None:
    """
    Say why a link must not be opened or passed on; None if nothing speaks against it.

    Only what the link itself says is looked at: names are not resolved, nothing is sent.

    :param allow_private: accept loopback and private addresses. Link-local ones, where clouds keep the
        credentials of their machines, are never accepted.
    """
    if "\\" in url or any(ord(char) < 32 or ord(char) == 127 for char in url):
        return "it holds control characters or a backslash"
    try:
        parts = urlsplit(url)
        host = (parse_url(url).host or "").strip("[]").rstrip(".")
        plain = (parts.hostname or "").rstrip(".")
        _ = parts.port
    except (ValueError, LocationParseError):
        return "it is no readable URL"
    if parts.scheme not in ("http", "https"):
        return f"its scheme is {parts.scheme[:20]!r}; only http:// and https:// links are opened"
    if not host:
        return "it names no host"
    # Readers of URLs that disagree about the host are the oldest way around a check.
    if "@" in parts.netloc or "%" in parts.netloc or (plain.isascii() and host != plain):
        return "its host is written in a way that can be read as another"
    return _check_host(host, allow_private=allow_private)


def check_address(text: str, *, allow_private: bool) -> str | None:
    """Say why nothing must be sent to a numeric address; None if nothing speaks against it."""
    address = _innermost(ipaddress.ip_address(text))
    if any(address in network for network in _NEVER):
        return f"{text} is a link-local or metadata address: pictures never come from there"
    nowhere = address.is_reserved and not (address.is_loopback or address.is_unspecified)
    if address.is_multicast or nowhere:
        return f"{text} is a reserved address: pictures never come from there"
    if (not address.is_global or address in _SITE_LOCAL) and not allow_private:
        return f"{text} is a private address; {_LET}"
    return None


def without_query(url: str) -> str:
    """Shorten a link to what may be shown: signed links carry their secret in the query string."""
    try:
        parts = urlsplit(url)
        netloc = parts.netloc.rpartition("@")[2]
    except ValueError:
        return "(unreadable link)"
    return urlunsplit((parts.scheme, netloc, parts.path, "", ""))


def without_queries(text: str) -> str:
    """Drop query strings, and what else looks like a signature, from a text of somebody else's."""
    return _SECRETS.sub(r"\1…", re.sub(r"\?[^\s'\"<>)]+", "?…", text))


def _check_host(host: str, *, allow_private: bool) -> str | None:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        pass
    else:
        return check_address(host, allow_private=allow_private)
    try:
        # What the resolver takes for an address though it does not look like one: 2130706433, 0x7f.1, 0177.1
        odd = socket.inet_ntoa(socket.inet_aton(host))
    except OSError:
        odd = None
    if odd is not None:
        found = check_address(odd, allow_private=allow_private)
        return found or (None if allow_private else f"{host} is an odd spelling of the address {odd}")
    if not allow_private and _PRIVATE_NAMES.fullmatch(host.lower()):
        return f"{host} is a private name; {_LET}"
    return None


def _innermost(address: Address) -> Address:
    """Unwrap the IPv4 address that an IPv6 address stands for, as mapped, translated or tunnelled."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:  # how a machine with IPv6 only sees the whole IPv4 world
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1] or address
