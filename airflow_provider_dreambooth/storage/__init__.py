# SPDX-License-Identifier: Apache-2.0
"""From a picture's link to a checked object at a destination: whole, or not there at all."""

from __future__ import annotations

from airflow_provider_dreambooth.storage.links import check_link
from airflow_provider_dreambooth.storage.manifest import check_folder, read_manifest, write_manifest
from airflow_provider_dreambooth.storage.records import Picture, PictureFailure, SavedPicture, SaveReport
from airflow_provider_dreambooth.storage.saving import save_pictures

__all__ = [
    "Picture",
    "PictureFailure",
    "SaveReport",
    "SavedPicture",
    "check_folder",
    "check_link",
    "read_manifest",
    "save_pictures",
    "write_manifest",
]
