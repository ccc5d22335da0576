# SPDX-License-Identifier: Apache-2.0
"""Links that are passed on instead of being opened."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow_provider_dreambooth.storage.links import check_link, without_query
from airflow_provider_dreambooth.storage.records import Picture, PictureFailure


def judge_links(
    pictures: Sequence[Picture], *, allow_private: bool
) -> tuple[list[Picture], list[PictureFailure]]:
    """Pass pictures on, but for those whose links nobody should open: the reply may be forged."""
    kept: list[Picture] = []
    failed: list[PictureFailure] = []
    for picture in pictures:
        if reason := check_link(picture.url, allow_private=allow_private):
            source = without_query(picture.url)
            failed.append(PictureFailure(picture.request_id, picture.index, source, reason, final=True))
        else:
            kept.append(picture)
    return kept, failed


def link_entry(picture: Picture) -> dict[str, Any]:
    """Make the manifest's entry of a picture whose link is passed on."""
    source = without_query(picture.url)
    return {"request_id": picture.request_id, "index": picture.index, "source_url": source}
