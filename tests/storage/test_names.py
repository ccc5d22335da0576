# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import posixpath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_dreambooth.storage import Picture
from airflow_provider_dreambooth.storage.names import MAX_PART, check_name, picture_names

PICTURES = [
    Picture("12", 0, "https://x/0"),
    Picture("12", 1, "https://x/1"),
    Picture("a-b", 0, "https://x/2"),
]


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("{request_id}-{index}", ["12-0", "12-1", "a-b-0"]),
        ("fox/{request_id}/{index:03}", ["fox/12/000", "fox/12/001", "fox/a-b/000"]),
        ("{{{request_id}}} {index:02d}é", ["{12} 00é", "{12} 01é", "{a-b} 00é"]),
    ],
)
def test_names(pattern, names):
    assert picture_names(PICTURES, pattern) == names


@pytest.mark.parametrize(
    ("pattern", "told"),
    [
        ("", "empty"),
        (" ", "empty"),
        ("{index}", "to two pictures: index 0 of request 12 and index 0 of request a-b"),
        ("same", "to two pictures"),
        ("{seed}", r"unknown field \{seed\}; known are \{request_id\} and \{index\}"),
        ("{}", "unknown field"),
        ("{0}", "unknown field"),
        ("{request_id.__class__}", "unknown field"),
        ("{request_id[0]}", "unknown field"),
        ("{request_id!r}{index}", "not accepted"),
        ("{request_id:>99999999999}", "not accepted"),
        ("{request_id}{index:999999999}", "not accepted"),
        ("{request_id}{index:{request_id}}", "not accepted"),
        ("{request_id", "cannot be read"),
        ("request_id}", "cannot be read"),
        ("../{request_id}-{index}", "no plain relative name"),
        ("a/../{request_id}-{index}", "no plain relative name"),
        ("/{request_id}-{index}", "no plain relative name"),
        ("s3://other/{request_id}-{index}", "no plain relative name"),
        ("{request_id}-{index}/", "no plain relative name"),
        ("./{request_id}-{index}", "no plain relative name"),
        ("a /{request_id}-{index}", "no plain relative name"),
        ("a\\{request_id}-{index}", "holds"),
        ("{request_id}?{index}", "holds"),
        ("{request_id}#{index}", "holds"),
        ("{request_id}*{index}", "holds"),
        ("a\n{request_id}-{index}", "cannot be printed"),
        ("a\0{request_id}-{index}", "cannot be printed"),
        ("\u202e{request_id}-{index}", "cannot be printed"),
        ("x" * (MAX_PART + 1) + "{request_id}-{index}", "longer than"),
        ("x/" * 500 + "{request_id}-{index}", "longer than"),
    ],
)
def test_patterns_that_cannot_be_used(pattern, told):
    with pytest.raises(ValueError, match=told) as caught:
        picture_names(PICTURES, pattern)
    assert "name pattern" in str(caught.value)


@given(pattern=st.text(alphabet="{}request_idindex./\\ab\n:!0", max_size=40), request_id=st.text(max_size=12))
def test_no_name_escapes(pattern, request_id):
    for tried in (pattern, pattern + "{request_id}", "{request_id}/{index}"):
        try:
            (name,) = picture_names([Picture(request_id, 0, "https://x/0")], tried)
        except ValueError:
            continue
        path = f"/bucket/prefix/{name}"
        assert posixpath.normpath(path) == path
        assert len(posixpath.basename(path)) > 0


def test_the_name_of_an_object():
    check_name("manifest-3.json", "the manifest's name")
    with pytest.raises(ValueError, match=r"the manifest's name is '\.\./m\.json'"):
        check_name("../m.json", "the manifest's name")
