# SPDX-License-Identifier: Apache-2.0
"""The operators: keep the pictures of finished requests, as links or as objects in a bucket."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from airflow.providers.common.compat.sdk import BaseOperator, Context, ObjectStoragePath, conf

from airflow_provider_dreambooth.api.batch import Batch
from airflow_provider_dreambooth.api.polling import PollPolicy
from airflow_provider_dreambooth.api.request_ids import RequestList
from airflow_provider_dreambooth.exceptions import DreamboothInputError
from airflow_provider_dreambooth.hooks.dreambooth import DreamboothHook
from airflow_provider_dreambooth.results import read_request_ids, ready_results
from airflow_provider_dreambooth.waiting import batch_of_event, look_then_defer, push_and_raise

MANIFEST_KEY = "manifest"


class DreamboothSaveImagesOperator(BaseOperator):
    """
    Keep the pictures of requests: their links in XCom, or checked copies in a bucket.

    XCom ``return_value`` is a flat list of strings, the links or the URIs of the saved objects; XCom
    ``manifest`` has a dict a picture, also in ``manifest.json`` beside the objects. What is ready is saved
    even if others fail; then the task fails with an error that names each of them, and a retry
    saves only what is missing. Saving bills nothing.

    :param request_id: an id, a list of ids, or what a generation task returned; waited for like
        :class:`~airflow_provider_dreambooth.sensors.dreambooth.DreamboothFetchSensor` does. (templated)
    :param results: instead of ``request_id``, what that sensor returned. (templated)
    :param destination: folder URL such as ``s3://bucket/prefix``; None: links only. (templated)
    :param storage_conn_id: the bucket's Airflow connection; None: ambient credentials. (templated)
    :param dreambooth_conn_id: the connection of type ``dreambooth``. (templated)
    :param name: of a picture without its suffix, from ``{request_id}`` and ``{index}``. (templated)
    :param overwrite: save anew what is already there.
    :param max_bytes: largest picture accepted, in bytes.
    :param max_parallel: downloads at a time.
    :param link_patience: seconds for which a link that is not there yet is tried again.
    :param allow_private_links: follow links to private addresses; None: only if the service has such a one itself.
    :param deferrable: wait for ``request_id`` in the triggerer, without a worker slot.
    :param poke_interval: seconds between two looks at a request.
    :param timeout: seconds to wait for the requests.
    """

    template_fields: Sequence[str] = (
        "request_id",
        "results",
        "destination",
        "storage_conn_id",
        "dreambooth_conn_id",
        "name",
    )
    ui_color = "#e8dcf7"

    def __init__(
        self,
        *,
        request_id: Any = None,
        results: Any = None,
        destination: str | None = None,
        storage_conn_id: str | None = None,
        dreambooth_conn_id: str = DreamboothHook.default_conn_name,
        name: str = "{request_id}-{index}",
        overwrite: bool = False,
        max_bytes: int = 64 * 1024 * 1024,
        max_parallel: int = 4,
        link_patience: float = 60.0,
        allow_private_links: bool | None = None,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        poke_interval: float = 5.0,
        timeout: float = conf.getfloat("sensors", "default_timeout"),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.request_id = request_id
        self.results = results
        self.destination = destination
        self.storage_conn_id = storage_conn_id
        self.dreambooth_conn_id = dreambooth_conn_id
        self.name = name
        self.overwrite = overwrite
        self.max_bytes = max_bytes
        self.max_parallel = max_parallel
        self.link_patience = link_patience
        self.allow_private_links = allow_private_links
        self.deferrable = deferrable
        self.poke_interval = poke_interval
        self.timeout = timeout
