# SPDX-License-Identifier: Apache-2.0
"""Replies that need no job, in their published forms: names, order, types and misspellings."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

Reply = dict[str, Any]

ENTERPRISE = "Get 20x faster image generation using enterprise plan."

PROCESSING: Reply = {"status": "processing", "messege": "try again later.", "output": "", "tip": ENTERPRISE}
NOT_FOUND: Reply = {
    "status": "failed",
    "id": "",
    "message": "Request not found",
    "output": "",
    "tip": ENTERPRISE,
}
JOB_FAILED: Reply = {"status": "failed", "id": "", "message": "Failed, Try Again", "output": ""}
INVALID_KEY: Reply = {
    "status": "error",
    "message": "Invalid Api Key",
    "tip": "1. Make sure you are passing Content-Type: application/json in header. "
    "2. Make sure you are doing POST request with valid JSON.",
}
INVALID_REQUEST: Reply = {
    "status": "error",
    "message": "Invalid API Request",
    "tip": "1. Make sure you are passing Content-Type: application/json in header.",
}
RATE_LIMIT_2023: Reply = {
    "status": "error",
    "message": "Rate limit exceeded",
    "tips": "you are sending same request multiple times, spam filter is enabled, "
    "please wait for 30 seconds and try again",
}
MONTHLY_LIMIT: Reply = {"status": "error", "message": "Your monthly limit exceeded"}
INSUFFICIENT_CREDITS: Reply = {
    "status": "error",
    "message": "Insufficient credits. Please add more credits to continue.",
}
MODEL_NOT_FOUND: Reply = {"status": "error", "message": "Model id not found"}
MESSEGE: Reply = {"status": "error", "messege": "Error message"}
SERVER_ERROR: Reply = {"message": "Server Error"}
PROMPT_REQUIRED = {"prompt": ["The prompt field is required."]}
VALIDATION: Reply = {"status": "error", "message": PROMPT_REQUIRED}


def validation(errors: Mapping[str, list[str]]) -> Reply:
    """An error whose ``message`` is an object of lists."""
    return {"status": "error", "message": dict(errors)}


def queue_full(limit: int = 5, retry_after: float = 30) -> Reply:
    """The queue of the account is full; ``retry_after`` is in seconds."""
    message = f"Rate limit exceeded. Maximum {limit} queued requests allowed."
    return {"status": "error", "message": message, "retry_after": retry_after}


def with_code(code: str) -> Reply:
    """An error of which only the newer field ``code`` says what it is."""
    return {"status": "error", "code": code, "message": "The request could not be completed."}


def method_not_allowed(method: str, path: str, supported: str) -> Reply:
    """What Laravel answers to a GET on a POST route (HTTP 405); there is no ``status``."""
    route = path.lstrip("/")
    return {
        "message": f"The {method} method is not supported for route {route}. Supported methods: {supported}."
    }


def route_not_found(path: str) -> Reply:
    """What Laravel answers where there is no route (HTTP 404); there is no ``status``."""
    return {"message": f"The route {path.lstrip('/')} could not be found."}


def to_json(body: object, *, escape_slashes: bool = False) -> bytes:
    """``body`` as JSON; ``escape_slashes`` as in the newer replies, which PHP wrote."""
    text = json.dumps(body)
    return (text.replace("/", "\\/") if escape_slashes else text).encode()
