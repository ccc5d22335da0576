# SPDX-License-Identifier: Apache-2.0
"""The checks by which the parameters of a generation are read: what each takes, and what it refuses."""

from __future__ import annotations

import math
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_provider_dreambooth.api import parameters as p

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.tuples(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
CHECKS = {
    "text": p.text,
    "any_text": p.any_text,
    "link": p.link,
    "secure_link": p.secure_link,
    "integer": p.integer(-5, 1024, multiple_of=8),
    "number": p.number(0, 20),
    "switch": p.switch,
    "choice": p.choice("one", "two"),
    "word": p.word,
    "names": p.several(p.word),
    "numbers": p.several(p.number(0, 1)),
}


def refused(check: p.Check, value: object) -> str:
    with pytest.raises(ValueError) as caught:
        check("the_name", value)
    return str(caught.value)


@pytest.mark.parametrize("value", ["a fox", " a fox ", "{'a': 1}", "0", "none"])
def test_text(value):
    assert p.text("x", value) == value
    assert p.any_text("x", value) == value


@pytest.mark.parametrize("value", [None, "", "  ", "\n", "None", " None ", 7, 0.5, True, b"bytes", ["a"]])
def test_text_that_says_nothing(value):
    assert refused(p.text, value).startswith(f"the_name is {value!r}; accepted is a text")


def test_any_text_may_be_empty_but_is_text():
    assert p.any_text("x", "") == ""
    for value in (None, 7, ["a"], b""):
        assert "accepted is a text" in refused(p.any_text, value)


@pytest.mark.parametrize(
    "value",
    ["https://a.example/x.png", "http://a.example", "https://a.example:8443/x?y=z#t", "https://[::1]/x"],
)
def test_link(value):
    assert p.link("x", value) == value
    assert p.link("x", f" {value}\n") == value


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "None",
        "a.example/x.png",
        "/x.png",
        "ftp://a.example/x",
        "file:///etc/passwd",
        "s3://bucket/x.png",
        "https://",
        "https:///x.png",
        "http://[::1",
        7,
        ["https://a.example/x.png"],
    ],
)
def test_no_link(value):
    assert (
        refused(p.link, value)
        == f"the_name is {value!r}; accepted is an http(s) link that the service can open"
    )


def test_secure_link():
    assert p.secure_link("x", " https://a.example/hook ") == "https://a.example/hook"
    assert (
        refused(p.secure_link, "http://a.example")
        == "the_name is 'http://a.example'; accepted is an https link"
    )
    assert "http(s) link" in refused(p.secure_link, "elsewhere")


@pytest.mark.parametrize(
    ("value", "read"),
    [(256, 256), (1024, 1024), (512.0, 512), ("512", 512), (" 512 ", 512), ("512.0", 512), ("5.12e2", 512)],
)
def test_integer(value, read):
    found = p.integer(256, 1024, multiple_of=8)("x", value)
    assert (found, type(found)) == (read, int)


@pytest.mark.parametrize(
    "value",
    [255, 248, 1025, 1032, 257, 512.5, "512.5", "513", "wide", "", "None", None, True, False, [512], math.nan,
     math.inf, "nan", "inf", "0x200", 10**400, -512, b"512", Decimal(512)],
)  # fmt: skip
def test_no_integer(value):
    said = refused(p.integer(256, 1024, multiple_of=8), value)
    assert said.startswith("the_name is ")
    assert said.endswith("; accepted is a whole number from 256 to 1024 that 8 divides")


def test_integer_of_any_multiple():
    assert p.integer(1, 4)("x", "4") == 4
    assert refused(p.integer(1, 4), 5) == "the_name is 5; accepted is a whole number from 1 to 4"


@given(st.integers(0, 2**63 - 1))
@example(2**63 - 1)
@example(2**53 + 1)
def test_a_large_whole_number_stays_what_it_is(value):
    """A seed that is rounded gives another picture."""
    check = p.integer(0, 2**63 - 1)
    assert check("seed", value) == value
    assert check("seed", str(value)) == value


@pytest.mark.parametrize(
    ("value", "read"), [(1, 1.0), (20, 20.0), (7.5, 7.5), ("7.5", 7.5), (" 7 ", 7.0), ("7,5"[:1], 7.0)]
)
def test_number(value, read):
    found = p.number(1, 20)("x", value)
    assert (found, type(found)) == (read, float)


@pytest.mark.parametrize(
    "value",
    [0.99, 20.01, "0", "21", "7,5", "", "None", None, True, math.nan, math.inf, -math.inf, "nan", [7]],
)
def test_no_number(value):
    assert refused(p.number(1, 20), value) == f"the_name is {value!r}; accepted is a number from 1 to 20"


@pytest.mark.parametrize("value", [True, "true", "True", "TRUE", "yes", "Yes", "1", 1, " yes "])
def test_switched_on(value):
    assert p.switch("x", value) is True


@pytest.mark.parametrize("value", [False, "false", "False", "no", "NO", "0", 0, " no "])
def test_switched_off(value):
    assert p.switch("x", value) is False


@pytest.mark.parametrize("value", [None, "", "None", "on", "off", "y", 2, -1, 0.5, [], [True], {}, "falsee"])
def test_neither_on_nor_off(value):
    assert refused(p.switch, value) == f"the_name is {value!r}; accepted is True or False"


def test_choice():
    check = p.choice("one", "two")
    assert check("x", "two") == "two"
    for value in (None, "", "One", "one ", 1, ["one"], {}):
        assert refused(check, value) == f"the_name is {value!r}; accepted is one of one, two"


@pytest.mark.parametrize(
    "value",
    [
        ["a", "b"],
        ("a", "b"),
        iter(["a", "b"]),
        "a,b",
        " a , b ",
        "['a', 'b']",
        '["a", "b"]',
        "('a', 'b')",
        " ['a','b'] ",
    ],
)
def test_several_names(value):
    assert p.several(p.word)("x", value) == ("a", "b")


@pytest.mark.parametrize("value", ["a", ["a"], ("a",), "['a']", "('a',)"])
def test_one_name(value):
    assert p.several(p.word)("x", value) == ("a",)


@pytest.mark.parametrize(
    "value", [[0.4, 0.6], (0.4, 0.6), ["0.4", "0.6"], "0.4,0.6", "[0.4, 0.6]", "(0.4, 0.6)", "['0.4', '0.6']"]
)
def test_several_numbers(value):
    assert p.several(p.number(0, 1))("x", value) == (0.4, 0.6)


@pytest.mark.parametrize("value", [0.4, "0.4", [0.4], "[0.4]", "(0.4)", "(0.4,)", " 0.4 "])
def test_one_number(value):
    assert p.several(p.number(0, 1))("x", value) == (0.4,)


@pytest.mark.parametrize("value", ["('ab')", '("ab")'])
def test_a_word_in_brackets_is_not_its_letters(value):
    """A template that writes the tuple of one name without Python's comma."""
    assert p.several(p.word)("x", value) == ("ab",)


@pytest.mark.parametrize("value", [[], (), "[]", "()", " [ ] "])
def test_none_at_all(value):
    assert refused(p.several(p.word), value) == f"the_name is {value!r}; accepted is at least one value"


@pytest.mark.parametrize(
    "value", [{"a": 0.4, "b": 0.6}, {"a", "b"}, frozenset("ab"), "{'a', 'b'}", "{'a': 1}"]
)
def test_what_has_no_order_is_no_list(value):
    """Each strength belongs to one model: a set has no order, and of a dict the strengths would be lost."""
    refused(p.several(p.word), value)


@pytest.mark.parametrize("value", ["[" * 100_000, "('a'", "[nonsense", "[{}: 1]", "[{[]: 1}]", "(0).real"])
def test_text_that_only_begins_as_a_list(value):
    refused(p.several(p.number(0, 1)), value)


def test_of_several_the_wrong_one_is_named():
    check = p.several(p.number(0.1, 1))
    assert refused(check, [0.4, 7]) == "the_name[1] is 7; accepted is a number from 0.1 to 1"
    assert refused(check, 7) == "the_name is 7; accepted is a number from 0.1 to 1"
    assert refused(p.several(p.word), "a,,b").startswith("the_name[1] is ''")
    assert (
        refused(p.several(p.word), ["a", "b,c"]) == "the_name[1] is 'b,c'; accepted is a name without commas"
    )


@pytest.mark.parametrize("value", [None, "", " ", "None", " None\n"])
def test_not_given(value):
    assert not p.given(value)


@pytest.mark.parametrize("value", [0, False, 0.0, [], {}, "none", "no", "0", "a"])
def test_given(value):
    assert p.given(value)


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
@given(value=ANYTHING)
@example(value=10**5000)
@example(value="[1e999]")
@example(value="[" * 2000 + "]" * 2000)
@example(value="\ud800")
def test_whatever_is_given_is_read_or_refused_by_name(check, value):
    """:raises Exception: of another kind would tell a user nothing."""
    try:
        check("the_name", value)
    except ValueError as error:
        said = str(error)
        assert said.startswith(("the_name is ", "the_name["))
        assert "; accepted is " in said
        assert len(said) < 800
        assert said.isprintable()


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
@given(value=ANYTHING)
def test_what_was_read_is_read_again_as_the_same(check, value):
    try:
        once = check("x", value)
    except ValueError:
        return
    assert check("x", once) == once
