# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json

import pytest

from airflow_provider_dreambooth.api.packing import PLAIN, pack, unpack
from tests.api.test_batch import BEGAN, READY, batch_of


def ids(count):
    return [str(13443927 + n) for n in range(count)]


def test_a_batch_that_people_may_want_to_read_stays_as_it_is():
    batch = batch_of(*ids(PLAIN))
    assert pack(batch) == batch.to_dict()


@pytest.mark.parametrize("count", [1, PLAIN, PLAIN + 1, 500])
def test_what_is_packed_is_read_back(count):
    batch = batch_of(*ids(count), eta=30)
    for request_id in ids(count)[::2]:
        batch.record(request_id, READY, BEGAN + 1)
    again = unpack(json.loads(json.dumps(pack(batch))))
    assert again.to_dict() == batch.to_dict()


def test_ten_thousand_requests_are_no_burden_on_a_database():
    batch = batch_of(*ids(10_000))
    assert len(pack(batch)) < 50_000


@pytest.mark.parametrize("stored", [None, 5, [], {}, "", "nonsense", "bm9uc2Vuc2U=", "eJwDAAAAAAE="])
def test_what_is_no_batch_is_told_as_such(stored):
    with pytest.raises(ValueError, match="not a stored batch"):
        unpack(stored)
