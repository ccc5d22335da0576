# SPDX-License-Identifier: Apache-2.0
"""What the log tells while pictures are saved."""

from __future__ import annotations

import logging
from typing import Any

from airflow_provider_dreambooth.storage.records import PictureFailure, SavedPicture

_FEW = 20


class Progress:
    """A line a picture if they are few, else a line every tenth of the way."""

    def __init__(self, log: logging.Logger | Any, total: int) -> None:
        self._log = log
        self._total = total
        self._done = self._failed = self._told = 0

    def tell(self, outcome: SavedPicture | PictureFailure) -> None:
        """Count one outcome, and tell it if it is worth a line."""
        self._done += 1
        if isinstance(outcome, PictureFailure):
            self._failed += 1
            if self._failed <= _FEW:
                self._log.warning(
                    "Picture %s of request %s (%s) is not saved: %s",
                    outcome.index,
                    outcome.request_id,
                    outcome.source_url,
                    outcome.reason,
                )
        elif self._total <= _FEW:
            self._log.info(
                "Picture %s of request %s is at %s: %s, %sx%s, %s bytes",
                outcome.index,
                outcome.request_id,
                outcome.uri,
                outcome.content_type,
                outcome.width,
                outcome.height,
                outcome.bytes,
            )
        if self._total > _FEW and self._done * 10 // self._total > self._told:
            self._told = self._done * 10 // self._total
            self._log.info("%s of %s pictures done, %s failed", self._done, self._total, self._failed)
