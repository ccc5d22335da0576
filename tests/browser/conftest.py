# SPDX-License-Identifier: Apache-2.0
"""A real Chromium, driven by Playwright. These tests run where they are asked for: ``pytest -m browser``."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.storage.conftest import destination, folder, host  # noqa: F401 - fixtures

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
OPTIONS = [
    "--headless",
    "--no-sandbox",  # in a container there is no user namespace for it
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what is in this folder; leave it out unless the marker is asked for, as it needs Chromium."""
    here = [item for item in items if HERE in item.path.parents]
    for item in here:
        item.add_marker(pytest.mark.browser)
    if "browser" not in config.option.markexpr:
        config.hook.pytest_deselected(items=here)
        items[:] = [item for item in items if item not in here]


@pytest.fixture(scope="session")
def chromium() -> str:
    """The machine's Chromium. Where there is none it is installed, or the tests fail and say why."""
    script = [str(ROOT / "scripts" / "install_chromium.sh")]
    done = subprocess.run(script, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=OPTIONS)
        yield running
        running.close()


@dataclass
class Visit:
    """A page that was opened, and what it did."""

    page: Page
    requests: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


@pytest.fixture
def visit(browser: Browser) -> Iterator[Callable[..., Visit]]:
    """Open a page as a person with this window and this taste would."""
    with ExitStack() as stack:

        def go(url: str, *, width: int = 1400, height: int = 900, scheme: str = "light") -> Visit:
            options: dict[str, Any] = {
                "viewport": {"width": width, "height": height},
                "color_scheme": scheme,
            }
            context = stack.enter_context(browser.new_context(**options))
            seen = Visit(context.new_page())
            context.on("request", lambda request: seen.requests.append(request.url))
            seen.page.on("pageerror", lambda error: seen.errors.append(str(error)))
            seen.page.on("console", lambda told: seen.errors.append(told.text))
            seen.page.on("dialog", lambda dialog: (seen.errors.append(dialog.message), dialog.dismiss()))
            seen.page.goto(url)
            return seen

        yield go


@pytest.fixture
def keep_screenshot(tmp_path: Path) -> Callable[..., None]:
    """Take a picture of a page, for people: ``SCREENSHOTS=FOLDER`` says where to."""
    kept = Path(os.environ.get("SCREENSHOTS") or tmp_path)

    def keep(page: Page, name: str, *, full_page: bool = True) -> None:
        # What moves is moved to its end first: a section that just opens would be cut off.
        page.screenshot(path=kept / f"{name}.png", full_page=full_page, animations="disabled")

    return keep
