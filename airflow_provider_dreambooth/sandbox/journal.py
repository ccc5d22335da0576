# SPDX-License-Identifier: Apache-2.0
"""What the sandbox remembers of every request; never the key itself."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple


@dataclass
class Record:
    """One request.

    :param time: when it came, in seconds since the epoch.
    :param path: without the query.
    :param request_id: of the job that it is about, if any.
    :param key_ok: None if no key came with it.
    :param answered_as: name of the fault or of the normal reply; None while there is no answer yet.
    :param http: status of the answer; None if there was none (or not yet).
    """

    time: float
    method: str
    path: str
    remote_port: int
    request_id: str | None = None
    key_ok: bool | None = None
    answered_as: str | None = None
    http: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON can carry it."""
        return asdict(self)


class Submit(NamedTuple):
    """A submit, accepted or not.

    :param body: as it came, without the key; empty if it was no JSON object.
    :param request_id: of the job that it became; None if it was not accepted, and so not billed.
    :param reply: what was answered, as ``answered_as`` in the journal.
    :param account: the number of the account; None if the key opened none.
    """

    path: str
    body: dict[str, Any]
    request_id: str | None
    reply: str | None
    account: int | None


# The record of the request that is being answered: each runs in a task, hence in a context, of its own.
CURRENT: ContextVar[Record] = ContextVar("record")
