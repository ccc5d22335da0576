# SPDX-License-Identifier: Apache-2.0
"""The DAG of the quickstart: request ids in, pictures in a bucket out."""

from __future__ import annotations

# [START keep_pictures]
from airflow.providers.common.compat.sdk import dag

from airflow_provider_dreambooth.operators.dreambooth import DreamboothSaveImagesOperator


@dag(schedule=None, params={"request_ids": ["13443927"], "folder": "s3://my-bucket/pictures"})
def keep_pictures():
    DreamboothSaveImagesOperator(
        task_id="keep",
        request_id="{{ params.request_ids }}",
        destination="{{ params.folder }}",
        deferrable=True,  # wait in the triggerer: no worker slot is held
        timeout=60 * 60,
    )


keep_pictures()
# [END keep_pictures]
