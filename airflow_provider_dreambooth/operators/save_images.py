# SPDX-License-Identifier: Apache-2.0
"""Keep the pictures of finished requests: as links, or as checked objects in a bucket."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator, Context, ObjectStoragePath, conf

from airflow_provider_dreambooth.api import parameters
from airflow_provider_dreambooth.api.batch import Batch
from airflow_provider_dreambooth.api.polling import PollPolicy
from airflow_provider_dreambooth.api.request_ids import RequestList
from airflow_provider_dreambooth.client.config import ClientConfig
from airflow_provider_dreambooth.exceptions import DreamboothInputError, DreamboothSaveError
from airflow_provider_dreambooth.hooks.dreambooth import DreamboothHook
from airflow_provider_dreambooth.lineage import add_asset_events, collect, openlineage
from airflow_provider_dreambooth.results import error_of, read_request_ids, ready_results
from airflow_provider_dreambooth.storage import (
    Picture,
    PictureFailure,
    SavedPicture,
    check_folder,
    save_pictures,
    write_manifest,
)
from airflow_provider_dreambooth.storage.decoding import require_pillow
from airflow_provider_dreambooth.storage.destination import read_destination
from airflow_provider_dreambooth.storage.errors import unsaved_error
from airflow_provider_dreambooth.storage.flags import read_blocked
from airflow_provider_dreambooth.storage.manifest import Holders
from airflow_provider_dreambooth.storage.names import picture_names
from airflow_provider_dreambooth.storage.passing import judge_links, link_entry
from airflow_provider_dreambooth.storage.provenance import day_of, provenance_of
from airflow_provider_dreambooth.storage.saving import MAX_BYTES, Verification
from airflow_provider_dreambooth.waiting import (
    DEFAULT_TIMEOUT,
    begin,
    check_at_least,
    keeping_ready,
    look_then_defer,
    raise_keeping_ready,
    resume,
    seconds,
    time_to_wait,
)

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage

MANIFEST_KEY = "manifest"
_LINKS_KEPT = "All links are in XCom 'ready'."


class DreamboothSaveImagesOperator(BaseOperator):
    """
    Keep the pictures of requests: their links in XCom, or checked copies in a bucket.

    XCom ``return_value`` is a flat list of strings, the links or the URIs of the saved objects; XCom
    ``manifest`` has a dict a picture, also in ``manifest.json`` beside the objects. What is ready is saved
    even if others fail; then the task fails with an error that names each of them, and a retry
    saves only what is missing. Saving bills nothing.

    :param request_id: an id, a list of ids, or what a generation task returned; waited for as by
        :class:`~airflow_provider_dreambooth.sensors.dreambooth.DreamboothFetchSensor`. (templated)
    :param results: instead of ``request_id``, what that sensor returned. (templated)
    :param destination: folder URL such as ``s3://bucket/prefix``; None: links only. (templated)
    :param storage_conn_id: the bucket's Airflow connection; None: ambient credentials. (templated)
    :param dreambooth_conn_id: the connection of type ``dreambooth``. (templated)
    :param name: of a picture, from ``{request_id}``, ``{index}`` and others; see the guide. (templated)
    :param overwrite: save anew what is already there.
    :param verify: ``structure``, or ``decode`` to have Pillow decode each picture.
    :param blocked_sha256: of pictures to flag, such as what the service gives instead of a blocked one.
    :param contact_sheet: also write ``index.html``, a page that shows the pictures; it takes Pillow.
    :param include_prompt: keep the prompt in the manifest, where the submit's reply is at hand.
    :param max_bytes: largest picture accepted, in bytes.
    :param max_parallel: downloads at a time.
    :param link_patience: seconds for which a link that is not there yet is tried again.
    :param allow_private_links: open links to private addresses; None: only if the service has such a one.
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
        verify: Verification = "structure",
        blocked_sha256: str | Sequence[str] = (),
        contact_sheet: bool = False,
        include_prompt: bool = False,
        max_bytes: int = MAX_BYTES,
        max_parallel: int = 4,
        link_patience: float = 60.0,
        allow_private_links: bool | None = None,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        poke_interval: float | timedelta = 5.0,
        timeout: float | timedelta = DEFAULT_TIMEOUT,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.request_id = request_id
        self.results = results
        self.destination = destination
        self.storage_conn_id = storage_conn_id
        self.dreambooth_conn_id = dreambooth_conn_id
        self.name = name
        self.overwrite = parameters.switch("overwrite", overwrite)
        self.verify = verify
        self.blocked_sha256 = read_blocked(blocked_sha256)
        self.contact_sheet = parameters.switch("contact_sheet", contact_sheet)
        self.include_prompt = parameters.switch("include_prompt", include_prompt)
        self.max_bytes = max_bytes
        self.max_parallel = max_parallel
        self.link_patience = link_patience
        private = allow_private_links
        self.allow_private_links = (
            private if private is None else parameters.switch("allow_private_links", private)
        )
        self.deferrable = parameters.switch("deferrable", deferrable)
        self.poke_interval = seconds(poke_interval)
        self.timeout = seconds(timeout)
        if verify not in ("structure", "decode"):
            raise ValueError(f"verify is {verify!r}; give 'structure' or 'decode'")
        self._saved: Sequence[SavedPicture] = ()
        check_at_least(
            max_bytes=(max_bytes, 1),
            max_parallel=(max_parallel, 1),
            link_patience=(link_patience, 0),
            poke_interval=(self.poke_interval, 0),
            timeout=(self.timeout, 0),
        )

    def execute(self, context: Context) -> list[str]:
        """Wait for what is not ready yet, in the chosen way, then keep the pictures."""
        asked = self._asked()
        folder = self._folder()
        policy = PollPolicy(poke_interval=self.poke_interval)
        batch = begin(context, asked, timeout=time_to_wait(self), policy=policy)
        with keeping_ready(context, batch, asked):
            if folder:  # what cannot be used is told before anybody waits for it
                self._check(folder, ready=bool(ready_results(batch, asked)))
            if self.deferrable:
                look_then_defer(self, batch, self.dreambooth_conn_id)
            elif batch.waiting:
                with DreamboothHook(self.dreambooth_conn_id) as hook:
                    hook.wait_for(batch)
        return self._keep(context, batch, asked)

    def execute_complete(self, context: Context, event: Mapping[str, Any] | None = None) -> list[str]:
        """Take the trigger's event and keep the pictures."""
        asked = self._asked()
        return self._keep(context, resume(context, event, asked, self.dreambooth_conn_id), asked)

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> OperatorLineage[Any, Any]:
        """Tell OpenLineage which links became which objects, also if others failed."""
        return openlineage(self._saved)

    get_openlineage_facets_on_failure = get_openlineage_facets_on_complete

    def _asked(self) -> RequestList:
        if (self.request_id is None) == (self.results is None):
            raise DreamboothInputError("Give either request_id or results. Nothing was sent.")
        if self.results is None:
            return read_request_ids(self.request_id)
        asked = read_request_ids(self.results, "results")
        unready = [request.request_id for request in asked.requests if request.ready is None]
        if unready:
            raise DreamboothInputError(
                f"results holds requests without pictures ({', '.join(unready[:10])}): give what "
                f"DreamboothFetchSensor returned, or use request_id to wait for them. Nothing was sent."
            )
        return asked

    def _folder(self) -> ObjectStoragePath | None:
        if self.contact_sheet or self.verify == "decode":
            what = "contact_sheet=True" if self.contact_sheet else "verify='decode'"
            if self.destination is None:
                raise DreamboothInputError(
                    f"{what} needs a destination: without one, links are kept. Nothing was sent."
                )
            require_pillow(what)
        if self.destination is None:
            return None
        try:
            picture_names([Picture("1", 0, "")], self.name, date="2026-01-01")
            return read_destination(self.destination, self.storage_conn_id)
        except ValueError as error:
            raise DreamboothInputError(f"{error}. Nothing was sent.") from None

    def _keep(self, context: Context, batch: Batch, asked: RequestList) -> list[str]:
        ready = {result["request_id"]: result for result in ready_results(batch, asked)}
        pictures = [
            Picture(rid, index, url, provenance_of(result, index, include_prompt=self.include_prompt))
            for rid, result in ready.items()
            for index, url in enumerate(result["output"])
        ]
        error = error_of(batch, asked, self.dreambooth_conn_id)
        if error and not pictures:  # its cause must not be hidden by a bucket that could not be used either
            raise_keeping_ready(context, batch, asked, error)
        with keeping_ready(context, batch, asked):
            with DreamboothHook(self.dreambooth_conn_id) as hook:
                config = hook.get_conn().config
            let = self.allow_private_links
            allow_private = config.is_private if let is None else let
            if (folder := self._folder()) is None:
                passed, failed = judge_links(pictures, allow_private=allow_private)
                kept, no_manifest = [picture.url for picture in passed], None
                context["ti"].xcom_push(key=MANIFEST_KEY, value=[link_entry(picture) for picture in passed])
            else:
                kept, failed, no_manifest = self._save(
                    context, pictures, folder, config, allow_private=allow_private
                )
        if failed or no_manifest:
            context["ti"].xcom_push(key="unsaved", value=[failure.to_dict() for failure in failed])
            error = unsaved_error(
                failed,
                len(pictures),
                destination=self.destination,
                storage_conn_id=self.storage_conn_id,
                no_manifest=no_manifest,
                beside=error,
            )
        if error:
            raise_keeping_ready(context, batch, asked, error)
        if self._saved:
            add_asset_events(context, self.outlets, self._saved, self.log)
        return kept

    def _check(self, folder: ObjectStoragePath, *, ready: bool) -> Holders:
        """Find what stands in the way at the destination before anything is waited for or downloaded."""
        try:
            return check_folder(folder, overwrite=self.overwrite, with_contact_sheet=self.contact_sheet)
        except DreamboothSaveError as error:
            kept = f" {_LINKS_KEPT}" if ready else ""
            raise DreamboothSaveError(f"{error}. Nothing was downloaded.{kept}") from None

    def _save(
        self,
        context: Context,
        pictures: Sequence[Picture],
        folder: ObjectStoragePath,
        config: ClientConfig,
        *,
        allow_private: bool,
    ) -> tuple[list[str], list[PictureFailure], DreamboothSaveError | None]:
        holders = self._check(folder, ready=True)
        date = day_of(context["dag_run"]) if "{date}" in self.name else ""
        try:
            picture_names(pictures, self.name, date=date)
        except ValueError as error:
            raise DreamboothInputError(f"{error}. Nothing was downloaded. {_LINKS_KEPT}") from None
        report = save_pictures(
            pictures,
            folder,
            name=self.name,
            date=date,
            overwrite=self.overwrite,
            verify=self.verify,
            blocked_sha256=self.blocked_sha256,
            max_bytes=self.max_bytes,
            max_parallel=self.max_parallel,
            link_patience=self.link_patience,
            tls_verify=config.verify,
            proxy=config.proxy,
            allow_private=allow_private,
            with_thumbnails=self.contact_sheet,
            holders=holders,
            log=self.log,
        )
        self._saved = report.saved
        context["ti"].xcom_push(key=MANIFEST_KEY, value=[saved.to_dict() for saved in report.saved])
        no_manifest = None
        try:
            if report.saved:
                uri = write_manifest(
                    folder,
                    report.saved,
                    with_contact_sheet=self.contact_sheet,
                    overwrite=self.overwrite,
                    log=self.log,
                )
                self.log.info("The manifest is %s", uri)
        except DreamboothSaveError as error:  # a full disk, say: told beside the pictures that it cost
            no_manifest = error
        collect(self, report.saved)
        return [saved.uri for saved in report.saved], list(report.failed), no_manifest
