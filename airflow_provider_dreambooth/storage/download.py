# SPDX-License-Identifier: Apache-2.0
"""One link to one local file, of which everything is known: the whole picture or the reason why not."""

from __future__ import annotations

import hashlib
import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import urllib3
from tenacity import RetryCallState, Retrying, retry_if_exception_type
from tenacity.nap import sleep_using_event
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NewConnectionError,
    ProxyError,
    ReadTimeoutError,
    SSLError,
)

from airflow_provider_dreambooth.api.replies import retry_after_seconds
from airflow_provider_dreambooth.client.bounded import Deadline
from airflow_provider_dreambooth.storage.links import LinkRefused, without_queries
from airflow_provider_dreambooth.storage.pictures import (
    Incomplete,
    LocalPicture,
    NotAPicture,
    PictureInfo,
    examine,
)
from airflow_provider_dreambooth.storage.session import LinkSession, SettingsUnusable
from airflow_provider_dreambooth.storage.unpacking import CHUNK, unpack

SLOWEST = 16 * 1024
"""Bytes a second that a download must reach in the long run, or it counts as stalled."""
LONGEST_RETRY_AFTER = 60.0
"""Seconds; what a host asks for beyond that is left to a retry of the task."""


class Stopped(Exception):
    """The run was told to end."""


class DownloadFailed(Exception):
    """No picture from this link. ``final``: asking again, now or later, would give the same."""

    def __init__(self, reason: str, *, final: bool = False) -> None:
        super().__init__(reason)
        self.final = final


@dataclass(frozen=True)
class Patience:
    """
    How often a link is asked again.

    :param until: ``time.monotonic()`` until which a link may answer that nothing is there yet.
    :param faults: tries that may fail for other passing reasons.
    :param first_wait: seconds after the first try; then twice as many each time.
    :param longest_wait: seconds.
    """

    until: float
    faults: int = 5
    first_wait: float = 0.5
    longest_wait: float = 8.0


class _Fault(Exception):
    """This try failed; the next may not."""

    def __init__(self, reason: str, *, not_there: bool = False, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.not_there = not_there
        self.retry_after = retry_after


class _TooLarge(Exception):
    """More bytes than a picture may have."""


def download(
    session: LinkSession,
    url: str,
    path: Path,
    *,
    max_bytes: int,
    patience: Patience,
    stop: threading.Event,
    check: Callable[[Path], PictureInfo] = examine,
) -> LocalPicture:
    """
    Fetch a link into a local file and check it.

    :param path: the file to write; on failure it may be left behind.
    :param max_bytes: largest picture accepted.
    :param stop: once set, the download ends at the next chunk, without another try.
    :param check: tells what the file is, or raises as
        :func:`~airflow_provider_dreambooth.storage.pictures.examine`.
    :raises DownloadFailed: with a reason that says what happened, without the link's query string.
    :raises Stopped: if ``stop`` was set.
    """
    tries = _Tries(patience)
    try:
        return Retrying(
            sleep=sleep_using_event(stop),
            retry=retry_if_exception_type(_Fault),
            stop=tries.enough,
            wait=tries.pause,
            reraise=True,
        )(_once, session, url, path, max_bytes, stop, check)
    except _Fault as fault:
        raise DownloadFailed(f"{fault}{tries.told()}") from None
    except LinkRefused as refused:
        if stop.is_set():
            raise Stopped from None
        raise DownloadFailed(f"the link is refused: {refused}", final=True) from None
    except NotAPicture as other:
        raise DownloadFailed(str(other), final=other.final) from None
    except SettingsUnusable as unusable:
        raise DownloadFailed(str(unusable)) from None


class _Tries:
    """Decides, with tenacity, whether and when a link is asked again."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._begun = time.monotonic()
        self._faults = 0
        self._tries = 0

    def enough(self, state: RetryCallState) -> bool:
        self._tries = state.attempt_number
        if self._fault(state).not_there:
            return time.monotonic() >= self._patience.until
        self._faults += 1
        return self._faults >= self._patience.faults

    def pause(self, state: RetryCallState) -> float:
        fault = self._fault(state)
        doubled: float = self._patience.first_wait * 2 ** (state.attempt_number - 1)
        seconds = min(self._patience.longest_wait, doubled) * random.uniform(0.8, 1.2)  # noqa: S311 - spreads the load, hides nothing
        if fault.retry_after is not None:
            seconds = max(seconds, min(fault.retry_after, LONGEST_RETRY_AFTER))
        if fault.not_there:  # one last look when patience ends, not before and not after
            seconds = min(seconds, max(0.0, self._patience.until - time.monotonic()))
        return seconds

    def told(self) -> str:
        if self._tries < 2:
            return ""
        return f" (tried {self._tries} times in {time.monotonic() - self._begun:.0f} seconds)"

    @staticmethod
    def _fault(state: RetryCallState) -> _Fault:
        error = state.outcome.exception() if state.outcome else None
        return error if isinstance(error, _Fault) else _Fault("unknown")


def _once(
    session: LinkSession,
    url: str,
    path: Path,
    max_bytes: int,
    stop: threading.Event,
    check: Callable[[Path], PictureInfo],
) -> LocalPicture:
    if stop.is_set():
        raise Stopped
    size, digest = 0, hashlib.sha256()
    try:
        with session.open(url) as (response, deadline):
            _check_status(response)
            # Base64 is a third longer than what it holds; what is longer still holds nothing but air.
            body = _body(response, deadline, sum(session.timeout), stop, 2 * max_bytes + (1 << 16))
            chunks = unpack(body, response.headers.get("Content-Encoding", ""))
            try:
                with path.open("wb") as file:
                    for chunk in chunks:
                        size += len(chunk)
                        if size > max_bytes:
                            raise _TooLarge
                        digest.update(chunk)
                        file.write(chunk)
            except OSError as error:  # of the file: those of the network are faults
                raise DownloadFailed(f"{error.strerror or error} while writing {path}") from None
        return LocalPicture(check(path), size, digest.hexdigest())
    except Incomplete as reason:
        raise _Fault(str(reason)) from None
    except _TooLarge:
        told = f"it is larger than {max_bytes:,} bytes; a higher 'max_bytes' lets it through"
        raise DownloadFailed(told, final=True) from None
    except HTTPError as error:
        if stop.is_set():
            raise Stopped from None
        raise _Fault(_told(error, session.timeout)) from None


def _check_status(response: urllib3.BaseHTTPResponse) -> None:
    status = response.status
    if status == 200:
        return
    retry_after = retry_after_seconds(response.headers.get("Retry-After"), time.time())
    if status in (403, 404):  # a new picture takes a while to be everywhere
        why = "the picture is not there"
        if status == 403:
            why = "not there yet, or the link has expired or is not allowed"
        raise _Fault(f"HTTP {status}: {why}", not_there=True, retry_after=retry_after)
    if 400 <= status < 500 and status not in (408, 425, 429):
        gone = ": the link has expired" if status == 410 else ""
        raise DownloadFailed(f"HTTP {status}{gone}", final=True)
    raise _Fault(f"HTTP {status}", retry_after=retry_after)


def _body(
    response: urllib3.BaseHTTPResponse, deadline: Deadline, patience: float, stop: threading.Event, most: int
) -> Iterator[bytes]:
    """Give a reply's bytes as they come: all that were announced, and not too slowly."""
    chunked = "Transfer-Encoding" in response.headers
    header = response.headers.get("Content-Length", "")
    announced = int(header) if header.isdecimal() and not chunked else None
    if announced is not None and announced > most:
        raise _TooLarge
    begun = time.monotonic()
    count = 0
    while True:
        deadline.until = begun + patience + count / SLOWEST
        try:
            chunk = response.read1(CHUNK, decode_content=False)
        except (HTTPError, OSError, ValueError) as error:
            _check_time(stop, deadline, count, begun)
            slow = isinstance(error, ReadTimeoutError | TimeoutError)
            raise _Fault(f"the download {'stalled' if slow else 'dropped'} after {count:,} bytes") from None
        _check_time(stop, deadline, count, begun)
        if not chunk:
            break
        count += len(chunk)
        if count > most:
            raise _TooLarge
        yield chunk
    if announced is not None and announced != count:
        raise _Fault(f"the download ended after {count:,} of {announced:,} bytes")


def _check_time(stop: threading.Event, deadline: Deadline, count: int, begun: float) -> None:
    if stop.is_set():
        raise Stopped
    if deadline.over:
        passed = time.monotonic() - begun
        raise _Fault(f"the download is too slow: {count:,} bytes in {passed:.0f} seconds")


def _told(error: HTTPError, timeout: tuple[float, float]) -> str:
    match error:
        case ProxyError():
            return "the proxy did not let the request through"
        case SSLError():
            return f"the TLS certificate of its host was not accepted: {_root(error)}"
        case NewConnectionError():
            return f"the connection to its host failed: {_root(error)}"
        case ConnectTimeoutError():
            return f"no connection to its host within {timeout[0]:g} seconds"
        case ReadTimeoutError():
            return f"no answer from its host within {timeout[1]:g} seconds"
        case _:
            return f"the connection to its host failed: {_root(error)}"


def _root(error: BaseException) -> str:
    while True:
        deeper = getattr(error, "reason", None) or error.__cause__ or error.__context__
        if not isinstance(deeper, BaseException):
            break
        error = deeper
    return without_queries(f"{type(error).__name__}: {error}")[:150]
