# SPDX-License-Identifier: Apache-2.0
"""The one error of a task that could not keep all of its pictures."""

from __future__ import annotations

from collections.abc import Sequence

from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSensorTimeout

from airflow_provider_dreambooth.exceptions import (
    MAX_SHOWN,
    DreamboothError,
    DreamboothPictureRefused,
    DreamboothSaveError,
)
from airflow_provider_dreambooth.storage.records import PictureFailure


def unsaved_error(
    failed: Sequence[PictureFailure],
    total: int,
    *,
    destination: str | None,
    storage_conn_id: str | None,
    no_manifest: DreamboothSaveError | None = None,
    beside: DreamboothError | None = None,
) -> DreamboothError:
    """
    Make the error that names each picture not saved; it is retried unless all of them would fail again.

    :param total: pictures there were in all.
    :param destination: None if links were only to be passed on.
    :param no_manifest: why the manifest, or the contact sheet, is not up to date, if so.
    :param beside: the error of the requests that gave no pictures.
    """
    final = no_manifest is None and all(failure.final for failure in failed)
    parts = [str(beside)] if beside else []
    if failed:
        shown = "; ".join(
            f"picture {one.index} of request {one.request_id} ({one.source_url}): {one.reason}"
            for one in failed[:MAX_SHOWN]
        )
        more = f"; and {len(failed) - MAX_SHOWN} more" if len(failed) > MAX_SHOWN else ""
        where = f"saved at {destination}" if destination else "passed on"
        conn = f" (storage_conn_id {storage_conn_id!r})" if storage_conn_id else ""
        parts.append(f"{len(failed)} of {total} pictures are not {where}{conn}: {shown}{more}.")
    if no_manifest:
        parts.append(f"{no_manifest}.")
    saved = "the others" if failed else "all pictures, which are saved,"
    others = f"; {saved} are in XCom 'manifest'" if len(failed) < total else ""
    parts.append(f"All links are in XCom 'ready'{others}.")
    if not final:
        parts.append("The task run again saves only what is missing, which bills nothing.")
    text = " ".join(parts)
    if beside is None:
        return DreamboothPictureRefused(text) if final else DreamboothSaveError(text)
    final = final and isinstance(beside, (AirflowFailException, AirflowSensorTimeout))
    error = (type(beside) if final else DreamboothSaveError)(text)
    error.failures, error.ready = beside.failures, beside.ready
    return error
