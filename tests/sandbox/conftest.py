# SPDX-License-Identifier: Apache-2.0
"""A client that is as plain as can be: what it gets is what the sandbox sends."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import requests

from airflow_provider_dreambooth.sandbox import Sandbox

PAYLOADS = Path(__file__).parents[1] / "payloads"


class Client:
    def __init__(self, url: str, key: str = "sandbox-key") -> None:
        self.url, self.key = url, key
        self.session = requests.Session()
        self.session.trust_env = False

    def post(self, path: str, **body: Any) -> requests.Response:
        body = {"key": self.key, **body}
        return self.session.post(f"{self.url}/api/{path}", json=body, timeout=10, allow_redirects=False)

    def fetch(self, request_id: int | str) -> requests.Response:
        return self.post("v4/dreambooth/fetch", request_id=request_id)

    def get(self, url: str) -> requests.Response:
        return self.session.get(url, timeout=10, allow_redirects=False)

    def links(self, request_id: int | str) -> list[str]:
        return self.fetch(request_id).json()["output"]


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(run_time=60) as running:
        yield running


@pytest.fixture
def client(sandbox: Sandbox, client_of: Callable[..., Client]) -> Client:
    return client_of(sandbox.url)


@pytest.fixture
def client_of() -> Iterator[Callable[..., Client]]:
    """A client for the sandbox at an address."""
    with ExitStack() as stack:

        def make(url: str, key: str = "sandbox-key") -> Client:
            plain = Client(url, key)
            stack.enter_context(plain.session)
            return plain

        yield make


@pytest.fixture
def payload() -> Callable[[str], Any]:
    """A published reply by its name."""
    return lambda name: json.loads((PAYLOADS / f"{name}.json").read_text())


@pytest.fixture
def payload_bytes() -> Callable[[str], bytes]:
    """A published reply to the byte."""
    return lambda name: (PAYLOADS / f"{name}.json").read_bytes().strip()


@pytest.fixture
def shape() -> Callable[[Any], Any]:
    """Names, order and types of a JSON value: everything but the values themselves."""

    def of(value: Any) -> Any:
        if isinstance(value, dict):
            return [(name, of(inner)) for name, inner in value.items()]
        if isinstance(value, list):
            return [of(inner) for inner in value[:1]]
        return type(value).__name__

    return of
