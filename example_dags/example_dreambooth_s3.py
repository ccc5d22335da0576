# SPDX-License-Identifier: Apache-2.0
"""
Keep pictures in Amazon S3, or a store that speaks its language, named by day and model, with a contact sheet.

It takes the extras ``s3`` and ``pictures``, and a connection ``aws_default``. Start it with
``{"request_ids": ["13443927"], "folder": "s3://my-bucket/dreambooth"}``. Another DAG that is to start when
pictures have come has ``schedule=[AssetAlias("dreambooth-pictures")]``.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.providers.common.compat.sdk import AssetAlias, Param, dag

from airflow_provider_dreambooth.operators.dreambooth import DreamboothSaveImagesOperator


@dag(
    schedule=None,
    params={
        "request_ids": Param([], type="array", title="Request ids, or what a task that generates returned"),
        "folder": Param("s3://my-bucket/dreambooth", type="string", title="Bucket and folder"),
    },
    render_template_as_native_obj=True,  # the list of ids stays a list
    tags=["example", "dreambooth"],
    doc_md=__doc__,
)
def example_dreambooth_s3() -> None:
    """Ids in, pictures in S3 out, each of them an asset."""
    # [START howto_operator_s3]
    DreamboothSaveImagesOperator(
        task_id="save_pictures",
        request_id="{{ params.request_ids }}",
        deferrable=True,  # wait in the triggerer: no worker slot is held
        timeout=timedelta(hours=2),
        dreambooth_conn_id="dreambooth_default",
        destination="{{ params.folder }}",
        storage_conn_id="aws_default",  # of type aws; None: the credentials that the worker has anyhow
        name="{date}/{model}/{request_id}-{index}",
        contact_sheet=True,
        include_prompt=True,
        outlets=[AssetAlias("dreambooth-pictures")],  # an asset event for each picture
    )
    # [END howto_operator_s3]


example_dreambooth_s3()
