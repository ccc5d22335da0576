# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_dreambooth.storage.provenance import Provenance, provenance_of

PAYLOADS = Path(__file__).parents[1] / "payloads"


@pytest.mark.parametrize("name", ["submit_success_v4", "submit_success_newer"])
def test_of_a_reply_as_published(name):
    reply = json.loads((PAYLOADS / f"{name}.json").read_text())
    found = provenance_of(reply, 0, include_prompt=True)
    assert (found.model, found.seed) == ("midjourney", reply["meta"]["seed"])
    assert found.prompt == reply["meta"]["prompt"]
    assert found.nsfw is reply.get("nsfw_content_detected")
    assert found.prompt not in repr(found)
    assert provenance_of(reply, 0, include_prompt=False).prompt is None


def test_the_service_s_check_of_each_picture():
    result = {"nsfw_content_detected": [False, True]}
    assert [provenance_of(result, i, include_prompt=False).nsfw for i in range(3)] == [False, True, None]


anything = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers())


@given(
    meta=st.dictionaries(st.sampled_from(["model_id", "seed", "prompt"]), anything) | anything, nsfw=anything
)
def test_what_has_another_form_is_not_known(meta, nsfw):
    found = provenance_of({"meta": meta, "nsfw_content_detected": nsfw}, 0, include_prompt=True)
    assert isinstance(found, Provenance)
    assert found.model is None or (isinstance(found.model, str) and found.model)
    assert found.seed is None or type(found.seed) is int
    assert found.nsfw in (None, True, False)
