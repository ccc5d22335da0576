# SPDX-License-Identifier: Apache-2.0
"""A connection's fields as its form, a URI or JSON gives them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from requests import certs

from airflow_provider_dreambooth.client.config import ClientConfig, from_fields, user_agent

KEY = "canary-KEY-0123456789"


def config(
    *, host: str | None = None, port: int | None = None, password: str | None = KEY, **extra: object
) -> ClientConfig:
    return from_fields(host=host, port=port, password=password, extra=extra)


def refused(**fields: object) -> str:
    with pytest.raises(ValueError) as caught:
        config(**fields)
    text = str(caught.value)
    assert KEY not in text
    assert text.isprintable()
    assert caught.value.__cause__ is None
    return text


def test_the_key_is_enough():
    assert config() == ClientConfig(
        base_url="https://modelslab.com",
        api_key=KEY,
        api_version="v4",
        timeout=30.0,
        verify=True,
        proxy=None,
        requests_per_second=None,
        max_connections=10,
        trusted_hosts=(),
    )


@pytest.mark.parametrize("password", [None, "", "  ", "\n"])
def test_without_a_key(password):
    assert refused(password=password) == "it has no API key: put it into the password field"


def test_a_key_copied_with_its_line_break():
    assert config(password=f" {KEY}\n").api_key == KEY
    assert "cannot be printed" in refused(password="two\nlines")


@pytest.mark.parametrize(
    ("host", "port", "base_url"),
    [
        (None, None, "https://modelslab.com"),
        ("", None, "https://modelslab.com"),
        ("  ", None, "https://modelslab.com"),
        ("stablediffusionapi.com", None, "https://stablediffusionapi.com"),
        ("https://modelslab.com/", None, "https://modelslab.com"),
        ("HTTPS://modelslab.com", None, "https://modelslab.com"),
        ("modelslab.com:8443", None, "https://modelslab.com:8443"),
        ("modelslab.com", 8443, "https://modelslab.com:8443"),
        ("modelslab.com:", 8443, "https://modelslab.com:8443"),
        ("modelslab.com:1", 8443, "https://modelslab.com:1"),
        ("localhost", 8765, "https://localhost:8765"),
        ("http://localhost:8765", None, "http://localhost:8765"),
        ("http://localhost", 8765, "http://localhost:8765"),
        ("https://gateway.example/modelslab/", None, "https://gateway.example/modelslab"),
        ("gateway.example/modelslab", 444, "https://gateway.example:444/modelslab"),
        ("http://[::1]:8765", None, "http://[::1]:8765"),
        ("http://[::1]", 8765, "http://[::1]:8765"),
        (None, 444, "https://modelslab.com:444"),
    ],
)
def test_host(host, port, base_url):
    assert config(host=host, port=port).base_url == base_url


@pytest.mark.parametrize(
    ("host", "port", "says"),
    [
        ("ftp://modelslab.com", None, "no base URL"),
        ("https://", None, "no base URL"),
        ("https://modelslab.com?x=1", None, "no base URL"),
        ("https://modelslab.com#x", None, "no base URL"),
        ("models lab.com", None, "no base URL"),
        ("models\nlab.com", None, "no base URL"),
        ("a.example,b.example", None, "no base URL"),
        ("http://localhost:99999", None, "no base URL"),
        ("http://localhost:port", None, "no base URL"),
        ("::1", None, "no base URL"),
        ("http://[::1", None, "no base URL"),
        ("modelslab.com", 99999, "its port is 99999"),
        ("modelslab.com", -1, "its port is -1"),
        (f"https://user:{KEY}@modelslab.com", None, "its host holds the API key"),
        ("someone@modelslab.com", None, "the key belongs into the password field"),
        ("https://modelslab.com/api", None, "ends in '/api'"),
        ("modelslab.com/api/v4/", None, "ends in '/api/v4"),
        (f"modelslab.com/api/{KEY}", None, "its host holds the API key"),
    ],
)
def test_what_is_no_host(host, port, says):
    assert says in refused(host=host, port=port)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("api_version", "v3", "v3"),
        ("api_version", "v6", "v6"),
        ("timeout", 5, 5.0),
        ("timeout", "0.5", 0.5),
        ("timeout", " 60 ", 60.0),
        ("verify", False, False),
        ("verify", "false", False),
        ("verify", "True", True),
        ("verify", certs.where(), certs.where()),
        ("proxy", "http://proxy.example:3128", "http://proxy.example:3128"),
        ("proxy", "https://user:pw@proxy.example", "https://user:pw@proxy.example"),
        ("requests_per_second", 0.5, 0.5),
        ("requests_per_second", "2", 2.0),
        ("max_connections", 1, 1),
        ("max_connections", "20", 20),
        ("max_connections", 20.0, 20),
        ("trusted_hosts", ["A.example", " b.example "], ("a.example", "b.example")),
        ("trusted_hosts", ("a.example",), ("a.example",)),
        ("trusted_hosts", "a.example, B.example", ("a.example", "b.example")),
        ("trusted_hosts", '["a.example", "10.0.0.1"]', ("a.example", "10.0.0.1")),
    ],
)
def test_extra(name, value, expected):
    found = getattr(config(**{name: value}), name)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    "name",
    ["api_version", "timeout", "verify", "proxy", "requests_per_second", "max_connections", "trusted_hosts"],
)
@pytest.mark.parametrize("empty", [None, "", []])
def test_an_empty_field_of_the_form_is_the_default(name, empty):
    assert config(**{name: empty}) == config()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("api_version", "v5"),
        ("api_version", "V4"),
        ("api_version", 4),
        ("api_version", ["v4"]),
        ("api_version", {}),
        ("timeout", 0),
        ("timeout", -1),
        ("timeout", 3601),
        ("timeout", "soon"),
        ("timeout", "nan"),
        ("timeout", float("inf")),
        ("timeout", True),
        ("timeout", [30]),
        ("verify", "no"),
        ("verify", 0),
        ("verify", "/does/not/exist.pem"),
        ("verify", __file__),
        ("verify", "/"),
        ("verify", "a\x00b"),
        ("verify", "-----BEGIN CERTIFICATE-----\n" + "MII" * 2000),
        ("verify", {}),
        ("requests_per_second", 0),
        ("requests_per_second", "many"),
        ("requests_per_second", 10**400),
        ("max_connections", 0),
        ("max_connections", 1.5),
        ("max_connections", 1001),
        ("max_connections", "ten"),
        ("trusted_hosts", "https://a.example"),
        ("trusted_hosts", "a.example:443"),
        ("trusted_hosts", "a.example/x"),
        ("trusted_hosts", "a.example,,b.example"),
        ("trusted_hosts", ["*"]),
        ("trusted_hosts", [None]),
        ("trusted_hosts", '["a.example"'),
        ("trusted_hosts", 5),
        ("trusted_hosts", {"a.example": 1}),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_is_no_extra_names_the_field_and_what_is_accepted(name, value):
    text = refused(**{name: value})
    assert text.startswith(f"extra '{name}' is ")
    assert "; accepted is " in text
    assert len(text) < 300


@pytest.mark.parametrize(
    "proxy",
    [
        "proxy.example",
        "socks5://proxy.example",
        "http://",
        "http://h:99999",
        "http://h:0",
        "http://[::1",
        5,
        ["x"],
    ],
)
def test_a_bad_proxy_is_not_quoted(proxy):
    assert refused(proxy=proxy) == "extra 'proxy'; accepted is a URL such as 'http://proxy.example.com:3128'"
    assert "hunter2" not in refused(proxy="socks5://user:hunter2@proxy.example")


def test_unknown_extras_are_named_all_at_once_without_their_values():
    text = refused(api_key="x", timeout_seconds=3, timeout=5)
    assert text.startswith("unknown extra 'api_key', 'timeout_seconds'; known are 'api_version', 'timeout'")


@pytest.mark.parametrize(
    "name",
    [
        "api_version",
        "timeout",
        "verify",
        "proxy",
        "requests_per_second",
        "max_connections",
        "trusted_hosts",
        KEY,
    ],
)
def test_a_key_pasted_into_the_wrong_field_is_not_quoted(name):
    values = [[KEY + "/"]] if name == "trusted_hosts" else [KEY, f"x{KEY}"]
    for value in values:
        assert "holds the API key" in refused(**{name: value})


scalars = st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats() | st.text(max_size=20)
names = st.sampled_from(
    ["api_version", "timeout", "verify", "proxy", "requests_per_second", "max_connections", "trusted_hosts"]
)


@settings(deadline=None)
@given(
    st.none()
    | st.text(max_size=30)
    | st.builds("{}://{}".format, st.sampled_from(["http", "https", "x"]), st.text(max_size=20)),
    st.none() | st.integers(-5, 70_000),
    st.dictionaries(
        names | st.text(max_size=5),
        scalars | st.lists(scalars, max_size=3) | st.dictionaries(st.text(), scalars, max_size=2),
    ),
)
def test_any_fields_make_a_config_or_one_clear_error(host, port, extra):
    said, found = "", None
    try:
        found = from_fields(host=host, port=port, password=KEY, extra=extra)
    except ValueError as error:
        said = str(error)
    assert said.isprintable()
    assert KEY not in f"{said}{found!r}"
    if found:
        assert found.base_url.startswith(("http://", "https://"))
        assert 0 < found.connect_timeout <= 10


def test_neither_key_nor_proxy_is_shown():
    shown = config(proxy="http://user:hunter2@proxy.example:3128")
    for text in (repr(shown), str(shown), f"{shown}"):
        assert KEY not in text
        assert "hunter2" not in text


@pytest.mark.parametrize(
    ("host", "private"),
    [
        (None, False),
        ("http://localhost:8765", True),
        ("http://sandbox.localhost", True),
        ("http://127.0.0.1:8765", True),
        ("http://[::1]:8765", True),
        ("http://10.1.2.3", True),
        ("https://192.168.1.1", True),
        ("https://8.8.8.8", False),
        ("https://localhost.evil.example", False),
    ],
)
def test_is_private(host, private):
    assert config(host=host).is_private == private


@pytest.mark.parametrize(("timeout", "connect"), [(30, 10), (2, 2)])
def test_connect_timeout(timeout, connect):
    assert config(timeout=timeout).connect_timeout == connect


def test_user_agent_names_versions():
    assert user_agent("requests").startswith("airflow-provider-dreambooth/0.")
    assert " requests/2." in user_agent("requests")
    assert "no-such-library" not in user_agent("no-such-library")
