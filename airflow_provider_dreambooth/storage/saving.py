# SPDX-License-Identifier: Apache-2.0
"""Many pictures to one destination, several at a time: each is saved or its failure is told, on its own."""

from __future__ import annotations

import contextlib
import logging
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from airflow.providers.common.compat.sdk import ObjectStoragePath

from airflow_provider_dreambooth.storage.download import DownloadFailed, Patience, Stopped, download
from airflow_provider_dreambooth.storage.existing import Existing
from airflow_provider_dreambooth.storage.links import without_queries, without_query
from airflow_provider_dreambooth.storage.names import picture_names
from airflow_provider_dreambooth.storage.pictures import Incomplete, LocalPicture, NotAPicture, read_back
from airflow_provider_dreambooth.storage.records import (
    Picture,
    PictureFailure,
    SavedPicture,
    SaveReport,
    utc_now,
)
from airflow_provider_dreambooth.storage.session import LinkSession
from airflow_provider_dreambooth.storage.store import FolderFull, Store, StoreFailed
from airflow_provider_dreambooth.storage.thumbnails import thumbnail

MAX_BYTES = 64 << 20
_LEAST_PATIENCE = 3.0
"""Seconds that a link may be missing even if its turn comes when the others' patience is used up."""
_SAME_FAILURES = 3
"""Failures of the store in a row, without a success between, that are taken for a failure of all."""
_FAREWELL = 10.0
"""Seconds that an upload under way may take to end when the run is interrupted."""
_HEARTBEAT = 0.5
"""Seconds after which an interruption is noticed at the latest."""
_FEW = 20


def save_pictures(
    pictures: Sequence[Picture],
    destination: ObjectStoragePath,
    *,
    name: str = "{request_id}-{index}",
    overwrite: bool = False,
    max_bytes: int = MAX_BYTES,
    max_parallel: int = 4,
    link_patience: float = 60.0,
    timeout: tuple[float, float] = (10, 60),
    verify: bool | str = True,
    proxy: str | None = None,
    allow_private: bool = False,
    with_thumbnails: bool = False,
    log: logging.Logger | Any,
) -> SaveReport:
    """
    Copy pictures to a destination, where each appears only when it is whole and checked.

    A picture that is already there and whole is not downloaded again. One that fails is in the report.

    :param name: of a picture without its suffix; see
        :func:`~airflow_provider_dreambooth.storage.names.picture_names`.
    :param link_patience: seconds, from the call on, for which a link may answer 404 or 403.
    :param timeout: seconds to wait for a connection, and for the next bytes.
    :param with_thumbnails: make a small copy of each, for the contact sheet; it takes Pillow.
    :raises ValueError: if the name pattern cannot be used. Nothing was downloaded.
    :raises DreamboothSaveError: if the destination cannot be used. Nothing was downloaded.
    """
    distinct = list(dict.fromkeys(pictures))
    names = dict(zip(distinct, picture_names(distinct, name), strict=True))
    if not distinct:
        return SaveReport((), ())
    store = Store(destination)
    store.probe(overwrite=overwrite)
    workers = max(1, min(max_parallel, len(distinct)))
    session = LinkSession(
        allow_private=allow_private, connections=workers, timeout=timeout, verify=verify, proxy=proxy
    )
    with tempfile.TemporaryDirectory(
        prefix=".dreambooth-", dir=store.scratch, ignore_cleanup_errors=True
    ) as folder:
        run = _Run(store, session, Path(folder), overwrite, max_bytes, link_patience, with_thumbnails)
        outcomes = _in_parallel(run, names, workers, _Progress(log, len(names)))
    found = [outcomes[picture] for picture in pictures]
    return SaveReport(
        tuple(item for item in found if isinstance(item, SavedPicture)),
        tuple(item for item in found if isinstance(item, PictureFailure)),
    )


class _Run:
    """What the threads of one call share."""

    def __init__(
        self,
        store: Store,
        session: LinkSession,
        folder: Path,
        overwrite: bool,
        max_bytes: int,
        link_patience: float,
        with_thumbnails: bool,
    ) -> None:
        self.store = store
        self._existing = Existing(store)
        self.session = session
        self.stop = threading.Event()
        self._folder = folder
        self._overwrite = overwrite
        self._max_bytes = max_bytes
        self._link_patience = link_patience
        self._with_thumbnails = with_thumbnails
        self._begun = time.monotonic()
        self._store_failures = 0
        self._given_up: str | None = None

    def save(self, picture: Picture, name: str, number: int) -> SavedPicture | PictureFailure:
        """Save one picture; whatever goes wrong with it is the result."""
        path = self._folder / str(number)
        final = False
        try:
            self._give_up_early()
            sizes = self._sizes(name)
            if sizes and not self._overwrite:
                saved = self._already_there(picture, name, sizes, path)
            else:
                saved = self._download(picture, name, path)
                for suffix in sizes:  # or a later run would take the old picture of another kind for this one
                    if not saved.uri.endswith(suffix):
                        self.store.delete(name + suffix)
        except FolderFull as full:  # which says nothing about the store
            reason = str(full)
        except StoreFailed as failed:
            reason = str(failed)
            self._store_failures += 1
            if self._given_up is None and (failed.refused or self._store_failures >= _SAME_FAILURES):
                self._given_up = reason
        except DownloadFailed as failed:
            reason, final = str(failed), failed.final
        except Exception as error:  # noqa: BLE001 - one picture must not take the others with it
            reason = f"unexpected {type(error).__name__}: {without_queries(str(error))[:300]}"
        else:
            self._store_failures = 0
            return saved
        finally:
            path.unlink(missing_ok=True)
        return PictureFailure(picture.request_id, picture.index, without_query(picture.url), reason, final)

    def _give_up_early(self) -> None:
        if self._given_up is not None:
            raise StoreFailed(f"not tried, because the destination failed before: {self._given_up}")

    def _sizes(self, name: str) -> dict[str, int]:
        try:
            return self._existing.sizes(name)
        except StoreFailed as failed:
            if failed.refused and self._overwrite:  # who may not look has nothing there that matters
                return {}
            raise

    def _already_there(self, picture: Picture, name: str, sizes: dict[str, int], path: Path) -> SavedPicture:
        """Read back what an earlier run saved under the name."""
        suffix, size = next(iter(sizes.items()))
        uri = self.store.uri(name + suffix)
        if size > self._max_bytes:
            reason = f"it has {size:,} bytes, more than 'max_bytes' {self._max_bytes:,}"
        else:
            try:
                local = self.store.get(name + suffix, path)
                return _record(picture, uri, read_back(local), self._thumbnail(local))
            except (NotAPicture, Incomplete) as found:
                reason = str(found)
        told = f"{uri} is already there, but not as it should be: {reason}. overwrite=True replaces it"
        raise DownloadFailed(told, final=True)

    def _download(self, picture: Picture, name: str, path: Path) -> SavedPicture:
        now = time.monotonic()
        until = max(self._begun + self._link_patience, now + min(self._link_patience, _LEAST_PATIENCE))
        local = download(
            self.session,
            picture.url,
            path,
            max_bytes=self._max_bytes,
            patience=Patience(until),
            stop=self.stop,
        )
        if self.stop.is_set():
            raise Stopped
        small = self._thumbnail(path)  # before the file is moved to its place
        self.store.put(path, name + local.info.suffix, local.info.content_type)
        return _record(picture, self.store.uri(name + local.info.suffix), local, small)

    def _thumbnail(self, path: Path) -> str | None:
        return thumbnail(path) if self._with_thumbnails else None


def _record(picture: Picture, uri: str, local: LocalPicture, small: str | None) -> SavedPicture:
    return SavedPicture(
        picture.request_id,
        picture.index,
        without_query(picture.url),
        uri,
        local.bytes,
        local.sha256,
        local.info.content_type,
        local.info.width,
        local.info.height,
        saved_at=utc_now(),
        model=picture.provenance.model,
        seed=picture.provenance.seed,
        prompt=picture.provenance.prompt,
        nsfw_content_detected=picture.provenance.nsfw,
        thumbnail=small,
    )


class _Progress:
    """A line a picture if they are few, else a line every tenth of the way."""

    def __init__(self, log: logging.Logger | Any, total: int) -> None:
        self._log = log
        self._total = total
        self._done = self._failed = self._told = 0

    def tell(self, outcome: SavedPicture | PictureFailure) -> None:
        self._done += 1
        if isinstance(outcome, PictureFailure):
            self._failed += 1
            if self._failed <= _FEW:
                self._log.warning(
                    "Picture %s of request %s (%s) is not saved: %s",
                    outcome.index,
                    outcome.request_id,
                    outcome.source_url,
                    outcome.reason,
                )
        elif self._total <= _FEW:
            self._log.info(
                "Picture %s of request %s is at %s: %s, %sx%s, %s bytes",
                outcome.index,
                outcome.request_id,
                outcome.uri,
                outcome.content_type,
                outcome.width,
                outcome.height,
                outcome.bytes,
            )
        if self._total > _FEW and self._done * 10 // self._total > self._told:
            self._told = self._done * 10 // self._total
            self._log.info("%s of %s pictures done, %s failed", self._done, self._total, self._failed)


def _in_parallel(
    run: _Run, names: dict[Picture, str], workers: int, progress: _Progress
) -> dict[Picture, SavedPicture | PictureFailure]:
    pool = ThreadPoolExecutor(workers, thread_name_prefix="dreambooth-save")
    futures: dict[Future[SavedPicture | PictureFailure], Picture] = {}
    done: SimpleQueue[Future[SavedPicture | PictureFailure]] = SimpleQueue()
    try:
        for number, (picture, name) in enumerate(names.items()):
            future = pool.submit(run.save, picture, name, number)
            futures[future] = picture
            future.add_done_callback(done.put)
        left = len(futures)
        while left:
            # Not for ever: a signal that comes just before Python blocks does not wake it.
            with contextlib.suppress(Empty):
                progress.tell(done.get(timeout=_HEARTBEAT).result())
                left -= 1
        return {picture: future.result() for future, picture in futures.items()}
    except BaseException:  # a kill or a timeout of the task, between any two lines
        run.stop.set()
        run.session.abort()
        pool.shutdown(wait=False, cancel_futures=True)
        wait([future for future in futures if not future.cancelled()], timeout=_FAREWELL)
        raise
    finally:
        pool.shutdown(wait=False)
        run.session.close()
