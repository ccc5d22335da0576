# SPDX-License-Identifier: Apache-2.0
"""What a user may write as ``destination``."""

from __future__ import annotations

import re

from airflow.providers.common.compat.sdk import ObjectStoragePath

# `file://data/x` would be a folder of the worker's current directory, `s3://` no bucket at all.
_FOLDER = re.compile(r"/|file:///|(?!file:)[a-z0-9+.-]+://[^/]")
_AZURE_S_OWN = re.compile(r"abfss?://[^/]*@[^/]*\.")


def read_destination(destination: object, storage_conn_id: str | None) -> ObjectStoragePath:
    """
    Make a path of a folder's URL. Nothing is asked of the store.

    :raises ValueError: if it is no folder URL, or of a scheme that Airflow does not know.
    """
    if not isinstance(destination, str) or not _FOLDER.match(destination):
        raise ValueError(
            f"destination is {destination!r}; give a folder URL such as 's3://bucket/prefix' or "
            f"'file:///data/pictures', or None to keep links only"
        )
    if _AZURE_S_OWN.match(destination):
        raise ValueError(
            f"destination is {destination!r}, but Airflow reads 'container@' as a connection id. Write "
            f"'abfs://container/folder' and let storage_conn_id name the account"
        )
    try:
        return ObjectStoragePath(destination, conn_id=storage_conn_id)
    except ValueError as error:
        if "://arn:" not in destination:
            raise
        # universal-pathlib 0.2 takes what follows the first colon for a port.
        raise ValueError(
            f"destination is {destination!r}; before Airflow 3.2 an access point is named by its alias, "
            f"not by its ARN"
        ) from error
