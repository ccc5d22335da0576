# SPDX-License-Identifier: Apache-2.0
"""Many pictures to one destination, several at a time: each is saved or its failure is told, on its own."""

from __future__ import annotations

import contextlib
import logging
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Literal

from airflow.providers.common.compat.sdk import ObjectStoragePath

from airflow_provider_dreambooth.storage.decoding import examine_decoded
from airflow_provider_dreambooth.storage.download import DownloadFailed, Patience, Stopped, download
from airflow_provider_dreambooth.storage.existing import Existing
from airflow_provider_dreambooth.storage.flags import compared
from airflow_provider_dreambooth.storage.flags import tell as tell_flags
from airflow_provider_dreambooth.storage.links import without_queries, without_query
from airflow_provider_dreambooth.storage.manifest import Holders
from airflow_provider_dreambooth.storage.names import (
    needs_sha256,
    picture_names,
    tells_the_request,
    with_sha256,
)
from airflow_provider_dreambooth.storage.pictures import LocalPicture, PictureInfo, examine
from airflow_provider_dreambooth.storage.progress import Progress
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
Verification = Literal["structure", "decode"]
_CHECKS = {"structure": examine, "decode": examine_decoded}
_LEAST_PATIENCE = 3.0
"""Seconds that a link may be missing even if its turn comes when the others' patience is used up."""
_SAME_FAILURES = 3
"""Failures of the store in a row, without a success between, that are taken for a failure of all."""
_FAREWELL = 10.0
"""Seconds that an upload under way may take to end when the run is interrupted."""
_HEARTBEAT = 0.5
"""Seconds after which an interruption is noticed at the latest."""


def save_pictures(
    pictures: Sequence[Picture],
    destination: ObjectStoragePath,
    *,
    name: str = "{request_id}-{index}",
    date: str = "",
    overwrite: bool = False,
    verify: Verification = "structure",
    blocked_sha256: Collection[str] = (),
    max_bytes: int = MAX_BYTES,
    max_parallel: int = 4,
    link_patience: float = 60.0,
    timeout: tuple[float, float] = (10, 60),
    tls_verify: bool | str = True,
    proxy: str | None = None,
    allow_private: bool = False,
    with_thumbnails: bool = False,
    holders: Holders | None = None,
    log: logging.Logger | Any,
) -> SaveReport:
    """
    Copy pictures to a destination, where each appears only when it is whole and checked.

    A picture that is already there and whole is not downloaded again. One that fails is in the report.

    :param name: of a picture without its suffix; see
        :func:`~airflow_provider_dreambooth.storage.names.picture_names`.
    :param date: of the run, for the names.
    :param verify: "structure", or "decode", which takes Pillow.
    :param blocked_sha256: of pictures that are flagged as placeholders.
    :param link_patience: seconds, from the call on, for which a link may answer 404 or 403.
    :param timeout: seconds to wait for a connection, and for the next bytes.
    :param with_thumbnails: make a small copy of each, for the contact sheet; it takes Pillow.
    :param holders: what is known of the objects that are there; one that is another picture is not taken.
    :raises ValueError: if the name pattern cannot be used. Nothing was downloaded.
    :raises DreamboothSaveError: if the destination cannot be used. Nothing was downloaded.
    """
    distinct = list(dict.fromkeys(pictures))
    names = dict(zip(distinct, picture_names(distinct, name, date=date), strict=True))
    if not distinct:
        return SaveReport((), ())
    store = Store(destination)
    store.probe(overwrite=overwrite)
    check = _CHECKS[verify]
    workers = max(1, min(max_parallel, len(distinct)))
    session = LinkSession(
        allow_private=allow_private, connections=workers, timeout=timeout, verify=tls_verify, proxy=proxy
    )
    with tempfile.TemporaryDirectory(
        prefix=".dreambooth-", dir=store.scratch, ignore_cleanup_errors=True
    ) as folder:
        run = _Run(
            store,
            session,
            Path(folder),
            overwrite,
            max_bytes,
            link_patience,
            with_thumbnails,
            check,
            Existing(
                store,
                holders=holders or {},
                own_names=tells_the_request(name),
                check=check,
                max_bytes=max_bytes,
            ),
        )
        outcomes = _in_parallel(run, names, workers, Progress(log, len(names)))
    found = [outcomes[picture] for picture in pictures]
    saved = compared([item for item in found if isinstance(item, SavedPicture)], blocked_sha256)
    tell_flags(saved, log)
    return SaveReport(
        tuple(saved),
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
        check: Callable[[Path], PictureInfo],
        existing: Existing,
    ) -> None:
        self.store = store
        self._existing = existing
        self.session = session
        self.stop = threading.Event()
        self._folder = folder
        self._overwrite = overwrite
        self._max_bytes = max_bytes
        self._link_patience = link_patience
        self._with_thumbnails = with_thumbnails
        self._check = check
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
                saved = self._take(picture, name, sizes, path)
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
        if needs_sha256(name):  # what is there under the same name has the same bytes
            return {}
        try:
            return self._existing.sizes(name)
        except StoreFailed as failed:
            if failed.refused and self._overwrite:  # who may not look has nothing there that matters
                return {}
            raise

    def _take(self, picture: Picture, name: str, sizes: dict[str, int], path: Path) -> SavedPicture:
        """Take what an earlier run saved."""
        anew = path.with_name(f"{path.name}-anew")
        try:
            uri, there, local = self._existing.take(
                picture, name, sizes, path, lambda: self._fetch(picture, anew)
            )
        finally:
            anew.unlink(missing_ok=True)
        return _record(picture, uri, local, self._thumbnail(there, local))

    def _download(self, picture: Picture, name: str, path: Path) -> SavedPicture:
        local = self._fetch(picture, path)
        name = with_sha256(name, local.sha256)
        if self.stop.is_set():
            raise Stopped
        small = self._thumbnail(path, local)  # before the file is moved to its place
        self.store.put(path, name + local.info.suffix, local.info.content_type, self.stop)
        return _record(picture, self.store.uri(name + local.info.suffix), local, small)

    def _fetch(self, picture: Picture, path: Path) -> LocalPicture:
        now = time.monotonic()
        until = max(self._begun + self._link_patience, now + min(self._link_patience, _LEAST_PATIENCE))
        return download(
            self.session,
            picture.url,
            path,
            max_bytes=self._max_bytes,
            patience=Patience(until),
            stop=self.stop,
            check=self._check,
        )

    def _thumbnail(self, path: Path, local: LocalPicture) -> str | None:
        if not self._with_thumbnails:
            return None
        return thumbnail(path, local.info.width * local.info.height)


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
        blank=True if local.info.blank else None,
        thumbnail=small,
    )


def _in_parallel(
    run: _Run, names: dict[Picture, str], workers: int, progress: Progress
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
