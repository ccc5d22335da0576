# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from urllib.parse import quote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_dreambooth.api.replies import Ready
from airflow_provider_dreambooth.api.request_ids import Requested, parse_request_ids

LINK = "https://pub-1.r2.dev/a-0.png"


class Lazy(Sequence[object]):
    """As Airflow's lazy XCom sequences: an iterable that is no list."""

    def __init__(self, *items: object) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> object:  # type: ignore[override]
        return self.items[index]

    def __iter__(self) -> Iterator[object]:
        return iter(self.items)


def named(value: object) -> str:
    """Give a test the same name in each process."""
    return repr(value).split(" at 0x")[0][:40]


@pytest.mark.parametrize(
    "value",
    [
        13443927,
        "13443927",
        " 13443927\n",
        {"request_id": 13443927},
        {"request_id": "13443927"},
        {"id": 13443927},
        {"id": 1, "request_id": 13443927},
        {"id": 13443927, "request_id": None},
        "{'request_id': 13443927}",
        "{'request_id': 13443927, 'meta': None}",
        '{"request_id": 13443927, "meta": null}',
        "(13443927)",
    ],
)
def test_one_id(value):
    asked = parse_request_ids(value)
    assert asked.single
    assert asked.order == ("13443927",)


@pytest.mark.parametrize(
    "value",
    [
        [1, "2", 1],
        (1, 2, 1),
        Lazy(1, {"id": 2}, "1"),
        (item for item in (1, 2, 1)),
        iter([1, 2, "1"]),
        "[1, 2, 1]",
        "['1', '2', '1']",
        "(1, 2, 1)",
        '["1", {"id": 2}, 1]',
        " [1, 2, 1] ",
        [{"request_id": 1}, "{'request_id': 2}", '{"id": "1"}'],
    ],
    ids=named,
)
def test_several_ids_keep_their_order_and_are_asked_for_once(value):
    asked = parse_request_ids(value)
    assert asked.order == ("1", "2", "1")
    assert [request.request_id for request in asked.requests] == ["1", "2"]
    assert not asked.single


def test_a_list_of_one_is_a_list():
    assert not parse_request_ids([1]).single
    assert not parse_request_ids("[1]").single


def test_what_a_generation_task_told_is_kept():
    submitted = {"request_id": "7", "status": "processing", "eta": "12.5", "meta": {"seed": 3}, "output": []}
    assert parse_request_ids(submitted).requests == (Requested("7", eta=12.5, meta={"seed": 3}),)


@pytest.mark.parametrize("eta", [None, True, "soon", -1, float("nan"), float("inf"), [1]])
def test_an_eta_that_is_none(eta):
    assert parse_request_ids({"request_id": 7, "eta": eta}).requests == (Requested("7"),)


@pytest.mark.parametrize("output", [[LINK], (LINK,), LINK])
def test_a_submit_that_gave_the_pictures_at_once(output):
    asked = parse_request_ids({"id": 7, "status": "success", "output": output})
    assert asked.requests == (Requested("7", ready=Ready((LINK,))),)


@pytest.mark.parametrize(
    "reply",
    [
        {"status": "success", "output": []},
        {"status": "success", "output": ["file:///etc/passwd"]},
        {"status": "processing", "output": [LINK], "future_links": [LINK]},
        {"status": "failed"},
        {"output": [LINK]},
    ],
)
def test_anything_else_is_asked_for(reply):
    assert parse_request_ids({"id": 7, **reply}).requests[0].ready is None


NOTHING = [None, "", "  ", "None", " None "]
NO_IDS = [
    True, False, 1.0, -1, 10**100, object(), b"123", bytearray(b"12"), [[1]], "[[1]]", [b"1"],
    "1/2", "../x", "..", ".", "1?x=1", "1#x", "1%2f2", "1 2", "1,2", "1\n2", "-1", "_1", "1\x00",
    "\uff11\uff12", "é", "a" * 129, "9" * 5000, "https://h/fetch/1",
    "{{ ti.xcom_pull('submit') }}", "{{1: 2}}", "{[1]: 2}", "{", "[1", "(" * 10_000,
]  # fmt: skip
NO_DICTS = [
    {},
    {"id": None},
    {"status": "error", "message": "Invalid Api Key"},
    {"request_id": ""},
    {"id": [1]},
]


@pytest.mark.filterwarnings("ignore::SyntaxWarning")
@pytest.mark.parametrize(
    "value",
    [*NOTHING, *NO_IDS, *NO_DICTS, [], (), "[]", "()", {1}.difference({1})],
    ids=named,
)
def test_what_is_no_id_is_said_clearly(value):
    with pytest.raises(ValueError, match=r"^request_id.* Give an id") as caught:
        parse_request_ids(value)
    text = str(caught.value)
    assert text.isprintable()
    assert len(text) < 400


@pytest.mark.parametrize("value", [*NOTHING, "1/2", True, {}, [1]], ids=repr)
def test_the_place_in_a_list_is_named(value):
    with pytest.raises(ValueError, match=r"^request_id\[1\]"):
        parse_request_ids([1, value])


@pytest.mark.parametrize("value", NOTHING)
def test_an_xcom_that_gave_nothing_is_named_as_such(value):
    with pytest.raises(ValueError, match="the task that should give the id gave none"):
        parse_request_ids(value)


def test_the_keys_of_a_dict_without_an_id_are_named():
    with pytest.raises(ValueError, match=r"a dict without 'request_id' \(its keys: status, a b\)"):
        parse_request_ids({"status": "error", "a\nb": 1})


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["request_id", "id", "eta", "status", "output", "meta"]) | st.text(),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@pytest.mark.filterwarnings("ignore::SyntaxWarning")
@given(anything | st.from_regex(r"[\[\{\(].*", fullmatch=True) | st.from_regex(r"[0-9./?#%\\a_-]{1,9}"))
def test_whatever_is_accepted_is_safe_in_a_path(value):
    try:
        asked = parse_request_ids(value)
    except ValueError:
        return
    assert asked.order
    assert {request.request_id for request in asked.requests} == set(asked.order)
    for request_id in asked.order:
        assert quote(request_id, safe="") == request_id
        assert urlsplit(f"https://h/fetch/{request_id}").path == f"/fetch/{request_id}"
        assert len(request_id) <= 128
        assert not request_id.startswith("-")


@given(
    st.lists(
        st.integers(0, 10**30) | st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,20}", fullmatch=True), min_size=1
    )
)
def test_a_rendered_list_says_the_same(values):
    # A word such as "None" is what a missing XCom is rendered as, in a list as well.
    values = [value for value in values if value != "None"] or [1]
    asked = parse_request_ids(values)
    assert parse_request_ids(str(values)) == asked
    assert parse_request_ids(json.dumps(values)) == asked
    assert parse_request_ids(tuple({"request_id": value} for value in values)) == asked


@pytest.mark.parametrize(
    ("told", "read"),
    [(1795593600.5, 1795593600.5), ("1795593600", 1795593600.0), ("now", None), (None, None)],
)
def test_the_moment_of_the_submit(told, read):
    [request] = parse_request_ids({"request_id": 7, "eta": 30, "submitted_at": told}).requests
    assert (request.eta, request.submitted_at) == (30, read)
