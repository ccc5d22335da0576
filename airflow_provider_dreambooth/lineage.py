# SPDX-License-Identifier: Apache-2.0
"""
Where saved pictures came from and went, told to whoever asks: assets, OpenLineage, hook lineage.

Links are told without their query, which may be a signature.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from airflow.providers.common.compat.lineage.hook import get_hook_lineage_collector
from airflow.providers.common.compat.sdk import Asset, AssetAlias, Context

from airflow_provider_dreambooth.storage import SavedPicture

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage

MOST_IN_EXTRA = 100
"""Pictures in the extra of an asset event, and datasets in OpenLineage's: both are kept in databases."""
MOST_CHARACTERS = 1500
"""Of an asset's URI, in Airflow's metadata database."""
MOST_ASSETS = 1000
"""Assets that one task adds through an alias: each is a row of Airflow's metadata database, for good."""


def _is_told(uri: str) -> bool:
    """Tell whether Airflow takes it for an asset: a name must not fail a task whose pictures are saved."""
    return len(uri) <= MOST_CHARACTERS


def add_asset_events(
    context: Context, outlets: Sequence[Any], saved: Sequence[SavedPicture], log: logging.Logger | Any
) -> None:
    """
    Tell a task's outlets what was saved.

    The event of an asset lists the pictures in its extra; to an alias each picture is added as an asset.

    :param outlets: of the task; what is neither an asset nor an alias is left alone.
    """
    for outlet in outlets:
        if isinstance(outlet, AssetAlias):
            for picture in saved[:MOST_ASSETS]:
                if _is_told(uri := _ascii(picture.uri)):
                    context["outlet_events"][outlet].add(Asset(uri), extra=_extra(picture))
                else:
                    log.warning("The name of %s is too long for an asset: it is not told", picture.uri)
            if len(saved) > MOST_ASSETS:
                log.warning(
                    "The first %s of %s pictures are added to %s as assets", MOST_ASSETS, len(saved), outlet
                )
        elif isinstance(outlet, Asset):
            listed = saved[:MOST_IN_EXTRA]
            pictures: list[Any] = [{"uri": picture.uri, **_extra(picture)} for picture in listed]
            context["outlet_events"][outlet].extra = {"count": len(saved), "pictures": pictures}


def collect(task: Any, saved: Sequence[SavedPicture]) -> None:
    """Tell Airflow's collector of hook lineage, which keeps nothing unless somebody reads it."""
    collector = get_hook_lineage_collector()
    for picture in saved:
        link, uri = _ascii(picture.source_url), _ascii(picture.uri)
        if link.startswith("http") and _is_told(link):
            collector.add_input_asset(context=task, uri=link)
        if _is_told(uri):
            collector.add_output_asset(context=task, uri=uri)


def openlineage(saved: Sequence[SavedPicture]) -> OperatorLineage[Any, Any]:
    """Make OpenLineage's account: links in, objects out, each with its size and its SHA-256 as version."""
    from airflow.providers.openlineage.extractors import OperatorLineage
    from openlineage.client.event_v2 import InputDataset, OutputDataset
    from openlineage.client.facet_v2 import dataset_version_dataset, output_statistics_output_dataset

    told = saved[:MOST_IN_EXTRA]
    return OperatorLineage(
        inputs=[
            InputDataset(*dataset_of(picture.source_url))
            for picture in told
            if picture.source_url.startswith("http")
        ],
        outputs=[
            OutputDataset(
                *dataset_of(picture.uri),
                facets={"version": dataset_version_dataset.DatasetVersionDatasetFacet(picture.sha256)},
                outputFacets={
                    "outputStatistics": output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(
                        size=picture.bytes, fileCount=1
                    )
                },
            )
            for picture in told
        ],
    )


def dataset_of(uri: str) -> tuple[str, str]:
    """
    Give namespace and name of a dataset, as OpenLineage's naming conventions have them.

    The storage account of an ``abfs`` URI is not known from it, so that its namespace is the container's.
    """
    parts = urlsplit(uri)
    if parts.scheme == "file":
        return "file", parts.path
    path = parts.path if parts.scheme in ("http", "https") else parts.path.lstrip("/")
    return f"{parts.scheme}://{parts.netloc}", path


def _ascii(uri: str) -> str:
    """Escape what Airflow 2 takes in no asset's URI; what is saved must not fail for it."""
    return re.sub(r"[^\x00-\x7f]+", lambda found: quote(found[0]), uri)


def _extra(picture: SavedPicture) -> dict[str, Any]:
    known = {
        "request_id": picture.request_id,
        "index": picture.index,
        "sha256": picture.sha256,
        "bytes": picture.bytes,
        "content_type": picture.content_type,
        "model": picture.model,
        "seed": picture.seed,
    }
    return {name: value for name, value in known.items() if value is not None}
