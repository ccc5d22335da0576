# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_dreambooth.storage.links import (
    check_address,
    check_link,
    without_queries,
    without_query,
)


@pytest.mark.parametrize(
    "url",
    [
        "https://pub-3626123a908346a7a8be8d9295f44e26.r2.dev/generations/0-8.png",
        "http://cdn.example.com:8080/a%20b.png?X-Amz-Signature=abc&x=1#f",
        "https://1.1.1.1/x.png",
        "https://[2606:4700:4700::1111]/x.png",
        "https://[::ffff:8.8.8.8]/x.png",
        "https://[64:ff9b::808:808]/x.png",
        "https://müller.example.com/ä.png",
        "https://10.example.com/",
        "HTTPS://Example.COM./x",
    ],
)
def test_links_that_may_be_opened(url):
    assert check_link(url, allow_private=False) is None


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("file:///etc/passwd", "'file'"),
        ("ftp://example.com/x.png", "'ftp'"),
        ("gopher://127.0.0.1/", "'gopher'"),
        ("//example.com/x.png", "scheme"),
        ("/x.png", "scheme"),
        ("", "scheme"),
        ("http:///x.png", "no host"),
        ("http://", "no"),
        ("http://[::1/x", "readable"),
        ("http://example.com:99999/", "readable"),
        ("http://good.example.com\\@10.0.0.1/", "backslash"),
        ("http://good.example.com\n.evil/", "control"),
        ("http://user:pass@example.com/", "read as another"),
        ("http://example.com@10.0.0.1/", "read as another"),
        ("http://%31%32%37.0.0.1/", "read as another"),
        ("http://[fe80::1%25eth0]/", "read as another"),
        ("http://\uff11\uff12\uff17.0.0.1/", ""),
        ("http://127\u30020\u30020\u30021/", ""),
    ],
)
def test_links_that_are_none(url, told):
    for allow_private in (False, True):
        assert told in (check_link(url, allow_private=allow_private) or pytest.fail(url))


PRIVATE = [
    "127.0.0.1",
    "127.9.9.9",
    "0.0.0.0",
    "10.0.0.1",
    "172.16.5.4",
    "192.168.1.1",
    "100.64.0.1",
    "[::1]",
    "[::]",
    "[fd12:3456::1]",
    "[::ffff:10.0.0.1]",
    "[::ffff:7f00:1]",
    "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]",
    "2130706433",
    "0x7f000001",
    "0x7f.1",
    "0177.0.0.1",
    "017700000001",
    "127.1",
    "127.0.0.1.",
    "localhost",
    "LOCALHOST",
    "localhost.",
    "db.localhost",
    "metadata.google.internal",
    "[fec0::1]",
    "intranet",
    "minio.storage.svc",
    "minio.storage.svc.cluster.local",
    "nas.lan",
    "printer.home.arpa",
]


@pytest.mark.parametrize("host", PRIVATE)
def test_private_hosts_only_with_allow_private(host):
    assert check_link(f"http://{host}/x.png", allow_private=False)
    assert check_link(f"http://{host}:8080/x.png", allow_private=False)
    assert check_link(f"http://{host}/x.png", allow_private=True) is None


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "169.254.170.2",
        "2852039166",
        "0xA9FEA9FE",
        "0251.0376.0251.0376",
        "[::ffff:169.254.169.254]",
        "[64:ff9b::a9fe:a9fe]",
        "[2002:a9fe:a9fe::1]",
        "[fd00:ec2::254]",
        "[fe80::1]",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "[fd20:ce::254]",
        "224.0.0.1",
        "255.255.255.255",
        "240.0.0.1",
        "[ff02::1]",
    ],
)
def test_hosts_that_pictures_never_come_from(host):
    for allow_private in (False, True):
        assert check_link(f"http://{host}/latest/meta-data/", allow_private=allow_private)


def test_the_reason_is_clear():
    reason = check_link("http://169.254.169.254/latest/meta-data/?k=SECRET", allow_private=False)
    assert reason == "169.254.169.254 is a link-local or metadata address: pictures never come from there"
    reason = check_link("http://192.168.0.7/x?k=SECRET", allow_private=False)
    assert reason == "192.168.0.7 is a private address; allow_private_links=True lets such links be opened"


addresses = st.ip_addresses(v=4)


def spellings(address: ipaddress.IPv4Address) -> list[str]:
    a, b, c, d = address.packed
    number = int(address)
    return [
        str(address),
        str(number),
        hex(number),
        f"0{number:o}",
        f"0{a:o}.0{b:o}.0{c:o}.0{d:o}",
        f"{a:#x}.{b:#x}.{c:#x}.{d:#x}",
        f"{a}.{b}.{c << 8 | d}",
        f"{a}.{b << 16 | c << 8 | d}",
        f"{address}.",
        f"[::ffff:{address}]",
        f"[::ffff:{number >> 16:x}:{number & 0xFFFF:x}]",
        f"[64:ff9b::{number >> 16:x}:{number & 0xFFFF:x}]",
        f"[2002:{number >> 16:x}:{number & 0xFFFF:x}::1]",
    ]


@given(addresses)
def test_no_spelling_of_a_refused_address_is_accepted(address):
    for allow_private in (False, True):
        if check_address(str(address), allow_private=allow_private):
            for host in spellings(address):
                assert check_link(f"http://{host}/", allow_private=allow_private), host


@given(addresses)
def test_what_is_not_global_is_refused(address):
    if not address.is_global or address.is_multicast:
        assert check_address(str(address), allow_private=False)


@given(st.text(max_size=40))
def test_any_text_gets_an_answer(text):
    for url in (text, f"http://{text}", f"https://example.com/{text}", f"http://[{text}]/"):
        assert check_link(url, allow_private=False) != ""
        assert without_query(url).count("?") == 0 or "?" in url


def test_secrets_of_links_are_not_shown():
    assert without_query("https://u:p@h.example:8/a/b.png?sig=SECRET#x") == "https://h.example:8/a/b.png"
    assert without_query("http://[::1/?SECRET") == "(unreadable link)"
    assert "SECRET" not in without_queries("Max retries exceeded with url: /a.png?sig=SECRET (Caused by …)")


@pytest.mark.parametrize(
    "text",
    [
        "<Signature=SECRET>",
        "sig=SECRET&x=1",
        "a&amp;X-Amz-Signature=SECRET&amp;X-Amz-Security-Token=SECRET",
        "AWSAccessKeyId=SECRET Expires=SECRET",
        "GoogleAccessId=me&X-Goog-Credential=SECRET",
    ],
)
def test_what_looks_like_a_signature_is_not_shown_without_a_question_mark_either(text):
    assert "SECRET" not in without_queries(text)
    assert without_queries("a plain text = 7, width=5") == "a plain text = 7, width=5"
