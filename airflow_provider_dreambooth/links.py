# SPDX-License-Identifier: Apache-2.0
"""The buttons of a generation task in Airflow's UI; they work while the task waits and afterwards."""

from __future__ import annotations

from typing import Any

from airflow.providers.common.compat.sdk import BaseOperatorLink, XCom

PICTURE_URL_KEY = "picture_url"
REQUEST_URL_KEY = "request_url"


class DreamboothPictureLink(BaseOperatorLink):
    """The first picture: until it is ready the link that the service predicts, which may lead nowhere yet."""

    name = "First picture"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Read what the task left in XCom; empty if it has left nothing yet."""
        return XCom.get_value(ti_key=ti_key, key=PICTURE_URL_KEY) or ""


class DreamboothRequestLink(BaseOperatorLink):
    """The request's address at the service, which answers a POST with the key; for support and scripts."""

    name = "Request"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Read what the task left in XCom; empty if it has left nothing yet."""
        return XCom.get_value(ti_key=ti_key, key=REQUEST_URL_KEY) or ""
