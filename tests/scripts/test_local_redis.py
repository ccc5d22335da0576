# SPDX-License-Identifier: Apache-2.0
"""A Redis that comes and goes."""

from __future__ import annotations

import pytest

redis = pytest.importorskip("redis", reason="the dependency group `cluster` is not installed")


def test_it_answers_shows_what_it_holds_and_is_gone_afterwards(tmp_path):
    from scripts.local_redis import LocalRedis

    with LocalRedis(tmp_path) as running:
        with redis.Redis.from_url(running.url) as client:
            client.lpush("queue", "a message " * 20)
            assert b"a message a message" in running.dump()
        assert running.processes.log("redis").stat().st_size
    with redis.Redis.from_url(running.url) as client, pytest.raises(redis.ConnectionError):
        client.ping()
