# SPDX-License-Identifier: Apache-2.0
"""What the service knows and decides, without HTTP: accounts, jobs, scripts. Safe from any thread."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import threading
import time
from collections import Counter, deque
from dataclasses import replace
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from airflow_provider_dreambooth.sandbox.jobs import Job, Timetable, seeded
from airflow_provider_dreambooth.sandbox.journal import Record, Submit
from airflow_provider_dreambooth.sandbox.models import Models
from airflow_provider_dreambooth.sandbox.orders import Order
from airflow_provider_dreambooth.sandbox.script import Plan, Script, Spec, picture_scripts, read
from airflow_provider_dreambooth.sandbox.silence import Silence

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from airflow_provider_dreambooth.sandbox.settings import Settings

P = ParamSpec("P")
R = TypeVar("R")

ENDPOINTS = ("fetch", "submit", "model_reload", "model_list", "system_load", "request_count")
ANY = "any"
JOURNAL_LENGTH = 100_000
SUBMITS_LENGTH = 10_000
ETA_OF_NEVER = 60.0


def locked(method: Callable[Concatenate[Service, P], R]) -> Callable[Concatenate[Service, P], R]:
    """One thread at a time: tests call from theirs while the server's loop answers in its own."""

    @wraps(method)
    def inner(self: Service, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with self._lock:
            return method(self, *args, **kwargs)

    return inner


def without_key(body: Mapping[str, Any]) -> dict[str, Any]:
    """A body that may be kept."""
    return {name: value for name, value in body.items() if name != "key"}


class Service:
    """The state behind one sandbox.

    :param keys: the API keys that are accepted, one account each.
    """

    def __init__(self, keys: Sequence[str], settings: Settings) -> None:
        self.settings = settings
        self.jobs: dict[str, Job] = {}
        self.models = Models(settings.models, settings.sleeping_models, settings.reload_time / settings.speed)
        self.silence = Silence()
        self.connections = 0
        self._lock = threading.RLock()
        self._keys: tuple[str, ...] = ()
        self._by_prefix: dict[str, Job] = {}
        self._ids = itertools.count(settings.first_id)
        self._timetable = Timetable(settings.max_parallel)
        self._scripts = {endpoint: Script() for endpoint in (*ENDPOINTS, ANY)}
        self._journal: deque[Record] = deque(maxlen=JOURNAL_LENGTH)
        self._submits: deque[tuple[Record, Submit]] = deque(maxlen=SUBMITS_LENGTH)
        self._fetches: Counter[str] = Counter()
        self._accepted: Counter[int] = Counter()
        self._recent: dict[str, float] = {}
        self.set_keys(keys)

    # -- accounts

    @locked
    def set_keys(self, keys: Sequence[Any]) -> None:
        """From now on these keys are accepted and no other. The jobs stay: the account is the same."""
        if not keys or not all(isinstance(key, str) and key for key in keys):
            raise ValueError("A key is a non-empty string.")
        self._keys = tuple(keys)

    @locked
    def account(self, key: object) -> int | None:
        """The account that a key opens, None if it opens none."""
        return self._keys.index(key) if isinstance(key, str) and key in self._keys else None

    @locked
    def accepted(self, account: int | None = None) -> int:
        """How many submits were accepted (and would have been billed), of one account or of all."""
        return self._accepted.total() if account is None else self._accepted[account]

    @locked
    def billing(self) -> dict[int, int]:
        """How many submits were accepted, by number of the account; those without any are there as well."""
        return {each: self._accepted[each] for each in sorted({*range(len(self._keys)), *self._accepted})}

    @locked
    def plan_used_up(self, account: int | None) -> bool:
        """Whether an account has no submit left."""
        limit = self.settings.plan_limit
        return limit is not None and account is not None and self._accepted[account] >= limit

    # -- jobs

    @locked
    def add(
        self,
        order: Order,
        *,
        ready_in: float,
        eta: float | None = None,
        request_id: int | str | None = None,
        replies: Spec | Sequence[Spec] = (),
        picture_faults: Spec | Sequence[Any] = (),
        output: Any = None,
        ends_as: Spec = "success",
        account: int = 0,
    ) -> Job:
        """A new job. :raises ValueError: for an id that exists or a fault that does not."""
        rid = self._free_id() if request_id is None else str(request_id)
        if rid in self.jobs:
            raise ValueError(f"Request id {rid} exists already.")
        if not rid or ready_in < 0:
            raise ValueError("A request id is not empty, and ready_in is at least 0 seconds.")
        if order.seed is None:
            order = replace(order, seed=seeded(self.settings.seed, rid, "seed").getrandbits(32))
        script = Script(replies)
        faults, suffixes = picture_scripts(picture_faults)
        ends, _ = read(ends_as)
        run_time = ready_in / self.settings.speed
        ready_at = self._timetable.book(run_time)
        if eta is None:
            left = max(0.0, ready_at - time.monotonic())
            told = (ETA_OF_NEVER if math.isinf(left) else left) * self.settings.eta_error
        else:
            told = eta / self.settings.speed
        job = Job(
            request_id=rid,
            order=order,
            run_time=run_time,
            ready_at=ready_at,
            eta=float(told),
            replies=script,
            picture_faults=faults,
            suffixes=suffixes,
            output=output,
            ends_as=ends,
            account=account,
        )
        self.jobs[rid] = self._by_prefix[job.file_prefix] = job
        return job

    @locked
    def submit(self, order: Order, account: int) -> Job:
        """Accept a submit: it is billed."""
        self._accepted[account] += 1
        rid = self._free_id()
        return self.add(order, ready_in=self._run_time(rid), request_id=rid, account=account)

    @locked
    def job(self, request_id: str, *, may_add: bool = False) -> Job | None:
        """The job of an id; ``may_add`` lets an unknown one begin if the sandbox takes any id."""
        known = self.jobs.get(request_id)
        if known is None and may_add and self.settings.any_id and request_id:
            order = Order(prompt=f"request {request_id}")
            return self.add(order, ready_in=self._run_time(request_id), request_id=request_id)
        return known

    @locked
    def job_of_picture(self, prefix: str) -> Job | None:
        """The job whose pictures have names that begin so."""
        return self._by_prefix.get(prefix)

    @locked
    def in_flight(self, account: int | None = None) -> list[Job]:
        """The unfinished jobs, of one account or of all."""
        return [job for job in self.jobs.values() if not job.ready and account in (None, job.account)]

    @locked
    def is_spam(self, path: str, body: Mapping[str, Any], account: int | None) -> bool:
        """Whether the account sent the same body to the same path just now.

        It is compared as it came, but for the key: another ``track_id`` makes it another request.
        """
        if not self.settings.spam_filter:
            return False
        digest = hashlib.sha256(
            json.dumps([account, path, without_key(body)], sort_keys=True).encode()
        ).hexdigest()
        now = time.monotonic()
        last = self._recent.get(digest)
        self._recent[digest] = now
        return last is not None and now - last < self.settings.spam_seconds

    def _free_id(self) -> str:
        return next(rid for rid in map(str, self._ids) if rid not in self.jobs)

    def _run_time(self, request_id: object) -> float:
        run_time = self.settings.run_time
        if isinstance(run_time, int | float):
            return run_time
        return seeded(self.settings.seed, request_id, "run time").uniform(*run_time)

    # -- what is to go wrong

    @locked
    def script(self, endpoint: str, specs: Spec | Sequence[Spec]) -> None:
        """Append faults to the script of an endpoint (``any``: of all), whatever the id."""
        if endpoint not in self._scripts:
            raise ValueError(f"No endpoint is named {endpoint!r}; there is {', '.join(self._scripts)}.")
        self._scripts[endpoint].extend(specs)

    @locked
    def scripted(self, endpoint: str) -> Plan | None:
        """The next fault of an endpoint, used up by this call."""
        return self._scripts[endpoint].next() or self._scripts[ANY].next()

    @locked
    def fault_of_fetch(self, job: Job) -> Plan | None:
        """What goes wrong with this fetch: as scripted for the id, else by chance."""
        planned = job.replies.next()
        if planned is None and self.settings.fault_rate:
            # Drawn from id and number of the fetch: the same in every run, whatever the order of polling.
            chance = seeded(self.settings.seed, job.request_id, self._fetches[job.request_id])
            if chance.random() < self.settings.fault_rate:
                planned, _ = read(chance.choice(self.settings.random_faults))
        return planned

    # -- what was asked

    @locked
    def write(self, record: Record) -> None:
        """Append to the journal; the record may be filled in later."""
        self._journal.append(record)

    @locked
    def journal(self) -> list[Record]:
        """A copy: a record of a request that is still being answered changes."""
        return [replace(record) for record in self._journal]

    @locked
    def write_submit(self, record: Record, body: Mapping[str, Any], account: int | None) -> None:
        """Remember a submit; what became of it stands in its record."""
        self._submits.append((record, Submit(record.path, without_key(body), None, None, account)))

    @locked
    def submits(self) -> list[Submit]:
        """Every submit so far, oldest first."""
        return [
            submit._replace(request_id=record.request_id, reply=record.answered_as)
            for record, submit in self._submits
        ]

    @locked
    def count_fetch(self, request_id: str) -> None:
        """Note that a fetch came, whatever is answered to it."""
        self._fetches[request_id] += 1

    @locked
    def fetches(self, request_id: int | str) -> int:
        """How many fetches came for an id, known or not."""
        return self._fetches[str(request_id)]
