# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_dreambooth.api.wording import (
    MAX_TEXT,
    delay_in,
    describe_body,
    message_of,
    one_line,
    plain,
)

any_text = st.text(alphabet=st.characters(codec=None))


@given(st.one_of(any_text, st.integers(), st.none(), st.lists(any_text)), st.integers(1, 400))
def test_one_line_is_one_short_printable_line(value, limit):
    line = one_line(value, limit)
    assert line.isprintable()
    assert len(line) <= limit
    line.encode()


@pytest.mark.parametrize(
    ("value", "line"),
    [
        (None, ""),
        ("  a \n\t b\u202e\ud800 c ", "a b c"),
        ([10**5000], "<list>"),
        ("\x1b[31mred", "[31mred"),
        ("x" * 400, "x" * (MAX_TEXT - 1) + "…"),
    ],
)
def test_one_line(value, line):
    assert one_line(value) == line


def test_a_list_too_deep_to_write():
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    assert one_line(deep) == "<list>"


@pytest.mark.parametrize(
    ("document", "message", "shown"),
    [
        ({}, "", ""),
        ({"message": "No.", "tip": "Why?"}, "No.", "No. - Why?"),
        ({"message": "", "messege": "No."}, "No.", "No."),
        ({"tips": "Why?"}, "", "Why?"),
        ({"message": "No.", "tip": "Get 20x faster image generation using enterprise plan."}, "No.", "No."),
        ({"message": {"a": {"b": {"c": {"d": 1}}}}}, "a: b: c:", "a: b: c:"),
    ],
)
def test_message_of(document, message, shown):
    assert message_of(document) == (message, shown)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("please wait for 30 seconds and try again", 30),
        ("Wait 5s.", 5),
        ("retry in 10 Sec", 10),
        ("Maximum 5 queued requests", None),
        ("5 samples", None),
        ("", None),
        ("99999999 seconds", None),
    ],
)
def test_delay_in(text, seconds):
    assert delay_in(text) == seconds


@given(st.binary())
def test_describe_body_is_printable(body):
    assert describe_body(body).isprintable()


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | any_text,
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(any_text | st.integers(), inner, max_size=3)
        ),
        max_leaves=8,
    )
)
def test_plain_is_what_any_database_stores(value):
    text = json.dumps(plain(value), allow_nan=False, ensure_ascii=False)
    text.encode()
    assert "\x00" not in text
    assert "\\u0000" not in text or "\\\\u0000" in text
    assert plain(plain(value)) == plain(value)
