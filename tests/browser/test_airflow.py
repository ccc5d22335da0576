# SPDX-License-Identifier: Apache-2.0
"""What a user of Airflow's UI sees of this provider: the connection's form, and the buttons of a task."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_dreambooth.get_provider_info import get_provider_info
from airflow_provider_dreambooth.sandbox import Sandbox
from scripts.local_airflow import PASSWORD, USERNAME, LocalAirflow

if TYPE_CHECKING:
    from playwright.sync_api import Page

KEY = "a-key-that-nobody-must-see"
DAG_ID = "generating"
DAG = f"""
from airflow.providers.common.compat.sdk import DAG
from airflow_provider_dreambooth.operators.dreambooth import DreamboothTextToImageOperator

with DAG({DAG_ID!r}, schedule=None):
    DreamboothTextToImageOperator(
        task_id="generate",
        model_id="midjourney",
        prompt="a red fox in the snow",
        wait_for_completion=True,
        deferrable=True,
    )
"""

pytestmark = pytest.mark.timeout(300)


@dataclass(frozen=True)
class Running:
    airflow: LocalAirflow
    sandbox: Sandbox


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Airflow and the service, which is slow enough to be looked at."""
    folder = tmp_path_factory.mktemp("ui")
    (folder / "dags").mkdir()
    (folder / "dags" / "generating.py").write_text(DAG)
    with Sandbox(KEY, run_time=3600.0) as sandbox:
        env = {
            "AIRFLOW_CONN_DREAMBOOTH_DEFAULT": sandbox.connection_json,
            "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
        }
        with LocalAirflow(folder / "airflow", folder / "dags", env=env) as airflow:
            yield Running(airflow, sandbox)


@pytest.fixture
def signed_in(running: Running, visit: Callable[..., Any]) -> Callable[..., Page]:
    """Open a page of the UI as an administrator does."""

    def go(path: str, height: int = 900) -> Page:
        page: Page = visit(running.airflow.url, width=1200, height=height).page
        page.fill("input[name=username]", USERNAME)
        page.fill("input[name=password]", PASSWORD)
        page.click("button[type=submit]")
        page.wait_for_url(lambda url: "login" not in url)
        page.goto(running.airflow.url + path)
        return page

    return go


def test_the_form_has_each_field_and_what_is_saved_works(running, signed_in, keep_screenshot):
    [kind] = get_provider_info()["connection-types"]
    page = signed_in("/connections", height=1400)
    page.get_by_role("button", name="Add Connection").first.click()
    form = page.get_by_role("dialog")
    form.locator("input[name=connection_id]").fill("studio")
    form.get_by_role("combobox").fill(kind["hook-name"])
    page.keyboard.press("Enter")
    for label in ("Base URL", "API key"):
        assert form.get_by_text(label, exact=True).count() == 1
    for hidden in ("Login", "Port", "Schema"):
        assert form.get_by_text(hidden, exact=True).count() == 0
    assert form.locator("input[name=host]").get_attribute("placeholder") == "https://modelslab.com"
    assert form.locator("input[name=password]").get_attribute("type") == "password"
    form.locator("input[name=host]").fill(running.sandbox.url)
    form.locator("input[name=password]").fill(KEY)
    form.get_by_role("button", name="Extra Fields", exact=True).click()
    for name, field in kind["conn-fields"].items():
        assert form.get_by_text(field["label"], exact=True).count() == 1
        assert form.locator(f"[name=element_{name}]").count() == 1
    form.locator("input[name=element_timeout]").fill("20")
    form.get_by_text("How long to wait for a reply").wait_for()
    keep_screenshot(page, "connection-form", full_page=False)
    form.get_by_role("button", name="Save").click()
    page.get_by_role("cell", name="studio").wait_for()

    saved = running.airflow.api.get("connections/studio")
    assert saved["password"] == "***"
    assert json.loads(saved["extra"])["timeout"] == 20
    page.reload()  # the form, which holds what was typed, takes a moment to go
    page.get_by_role("cell", name="studio").wait_for()
    assert KEY not in page.content()
    # What the button "Test" asks, but for a port of 0: with that, Airflow 3.3.2 takes any saved connection
    # without a port for another than the one that was saved.
    asked = {name: saved[name] for name in ("connection_id", "conn_type", "host", "password", "extra")}
    tested = running.airflow.api.test_connection(asked)
    assert tested == {"status": True, "message": f"{running.sandbox.url} answers and accepts the API key"}


def test_the_buttons_of_a_task_that_waits_and_that_has_ended(running, signed_in, keep_screenshot):
    api = running.airflow.api
    run_id = api.trigger(DAG_ID)
    api.wait_for_task(DAG_ID, run_id, "generate", "deferred")
    place = f"/dags/{DAG_ID}/runs/{run_id}/tasks/generate/details"
    request_id = api.xcom(DAG_ID, run_id, "generate", "request_id")

    page = signed_in(place)
    first = page.get_by_role("link", name="First picture")
    first.wait_for()
    predicted = first.get_attribute("href")
    assert predicted.startswith(f"{running.sandbox.url}/pictures/")
    request = page.get_by_role("link", name="Request", exact=True).get_attribute("href")
    assert request == f"{running.sandbox.url}/api/v3/dreambooth/fetch/{request_id}"
    keep_screenshot(page, "operator-links", full_page=False)

    running.sandbox.finish(request_id)
    assert api.wait_for_run(DAG_ID, run_id) == "success"
    page.reload()
    first = page.get_by_role("link", name="First picture")
    first.wait_for()
    [link] = api.xcom(DAG_ID, run_id, "generate")["output"]
    assert first.get_attribute("href") == link
    with page.context.expect_page() as opened:
        first.click()
    picture = opened.value.locator("img")
    picture.wait_for()
    assert picture.evaluate("image => image.naturalWidth") == 512
