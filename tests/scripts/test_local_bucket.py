# SPDX-License-Identifier: Apache-2.0
"""A bucket that comes and goes."""

from __future__ import annotations

import json

import boto3

from scripts.local_bucket import LocalBucket


def test_whoever_has_the_connection_can_write_and_everything_can_be_read(tmp_path):
    with LocalBucket(tmp_path) as bucket:
        connection = json.loads(bucket.connection_json)
        client = boto3.client(
            "s3",
            aws_access_key_id=connection["login"],
            aws_secret_access_key=connection["password"],
            **connection["extra"],
        )
        client.put_object(Bucket=bucket.name, Key="folder/one", Body=b"1")
        client.close()
        assert bucket.objects("folder/") == {"folder/one": 1}
        assert bucket.objects("elsewhere/") == {}
        assert bucket.read("folder/one") == b"1"
