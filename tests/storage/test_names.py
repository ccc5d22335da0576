# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import contextlib
import posixpath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_dreambooth.storage import Picture
from airflow_provider_dreambooth.storage.names import (
    MAX_PART,
    needs_sha256,
    picture_names,
    tells_the_request,
    with_sha256,
)
from airflow_provider_dreambooth.storage.provenance import Provenance

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
        (
            "{index}",
            "to two pictures: index 0 of request 12 and index 0 of request a-b; a name such as",
        ),
        ("same", "to two pictures"),
        (
            "{seed}",
            r"unknown field \{seed\}; known are \{request_id\}, .*, \{model\}",
        ),
        ("{}", "unknown field"),
        ("{0}", "unknown field"),
        ("{request_id.__class__}", "unknown field"),
        ("{request_id[0]}", "unknown field"),
        ("{request_id}-{index}.png", "ends in '.png', but the true suffix is added"),
        ("{request_id}-{index}.JPEG", "ends in '.JPEG'"),
        ("{request_id!r}{index}", "not accepted"),
        ("{request_id}-{index:3}", "not accepted"),
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


def test_the_day_and_the_model_in_names():
    pictures = [
        Picture("1", 0, "u", Provenance(model=model)) for model in ("sd 1.5/ä", None, "..", "x" * 300)
    ]
    names = [picture_names([one], "{date}/{model}/{request_id}", date="2026-11-23")[0] for one in pictures]
    assert names == [
        "2026-11-23/sd-1.5-/1",
        "2026-11-23/unknown-model/1",
        "2026-11-23/unknown-model/1",
        f"2026-11-23/{'x' * 100}/1",
    ]


def test_the_suffix_may_be_named_at_the_end():
    assert picture_names(PICTURES, "{request_id}-{index}{suffix}") == ["12-0", "12-1", "a-b-0"]
    with pytest.raises(ValueError, match="elsewhere than at its end"):
        picture_names(PICTURES, "{suffix}/{request_id}-{index}")


def test_the_content_in_names_is_put_in_later_and_never_clashes():
    names = picture_names(PICTURES, "{date}/{sha256}", date="2026-11-23")
    assert all(needs_sha256(name) for name in names)
    assert {with_sha256(name, "ab" * 32) for name in names} == {f"2026-11-23/{'ab' * 32}"}
    assert not any(needs_sha256(name) for name in picture_names(PICTURES, "{{sha256}}{request_id}-{index}"))


@given(model=st.text(max_size=40))
def test_no_model_leads_out_of_the_destination(model):
    (name,) = picture_names([Picture("1", 0, "u", Provenance(model=model))], "{model}/{request_id}")
    path = f"/bucket/prefix/{name}"
    assert posixpath.normpath(path) == path
    assert name.count("/") == 1


@pytest.mark.parametrize(
    ("pattern", "told"),
    [
        ("{request_id}-{index}", True),
        ("{date}/{model}/{request_id}_{index}{suffix}", True),
        ("{request_id}{suffix}", True),
        ("latest", False),
        ("{date}/{index}", False),
        ("{request_id}{index}", False),  # index 12 of request 1, and index 2 of request 11
        ("{date}{request_id}", False),
        ("{model}-{request_id}", False),  # model a-1 and request 2, and model a and request 1-2
        ("{request_id}-{index}-{model}", False),
        ("{request_id}-{request_id}", False),
        ("{model}-{index}/{date} {request_id} {index:03}", True),
        ("{model}-{request_id}/{request_id}-{index}", True),
        ("{{request_id}}-{index}", False),
        ("{{{request_id}}}", True),
    ],
)
def test_which_names_tell_the_request(pattern, told):
    assert tells_the_request(pattern) is told


PIECES = ["{request_id}", "{index}", "{model}", "{date}", "{{", "}}", "-", "_", "/", "1", "a"]
SOME_PIECES = st.lists(st.sampled_from(PIECES), max_size=4).map("".join)
PATTERN = st.tuples(SOME_PIECES, st.just("{request_id}"), SOME_PIECES).map("".join)
LIKELY = st.sampled_from(["{request_id}", "{model}-{request_id}-{index}", "{index}/{request_id}-{index}_a"])
PICTURE = st.builds(
    lambda rid, index, model: Picture(rid, index, "", Provenance(model=model)),
    st.sampled_from(["1", "1-1", "1_1"]),
    st.sampled_from([1, 11]),
    st.sampled_from(["1", "1-1"]),
)


@given(
    pattern=PATTERN | LIKELY,
    pictures=st.lists(PICTURE, min_size=2, max_size=2, unique_by=lambda picture: picture.request_id),
)
@settings(max_examples=300)
def test_names_that_tell_the_request_are_never_those_of_another(pattern, pictures):
    with contextlib.suppress(ValueError):
        names = [picture_names([picture], pattern) for picture in pictures]
        assert not tells_the_request(pattern) or names[0] != names[1]
