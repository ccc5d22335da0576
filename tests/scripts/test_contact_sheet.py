# SPDX-License-Identifier: Apache-2.0
"""The contact sheet holds everything itself, and nothing in it can get out of its place."""

from __future__ import annotations

from html.parser import HTMLParser

from scripts.contact_sheet import contact_sheet, local_path

HOSTILE = "\"><script>alert('x')</script> & co"


class Page(HTMLParser):
    """The tags of a page with their attributes, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


def test_everything_is_inside_and_escaped(tmp_path):
    picture = tmp_path / "a picture.png"
    picture.write_bytes(b"\x89PNG...")
    entry = {
        "request_id": "7",
        "index": 0,
        "uri": picture.as_uri(),
        "bytes": 7,
        "sha256": "ab" * 32,
        "content_type": "image/png",
        "width": 512,
        "height": 768,
    }
    page = Page(contact_sheet([entry], {"7": HOSTILE}, subtitle="<b>run</b>"))
    names = {tag for tag, _ in page.tags}
    assert "script" not in names
    assert "b" not in names
    [image] = [attributes for tag, attributes in page.tags if tag == "img"]
    assert image["alt"] == HOSTILE
    assert image["src"] == "data:image/png;base64,iVBORy4uLg=="
    assert (image["width"], image["height"]) == ("512", "768")
    assert not names & {"link", "iframe", "object"}
    assert HOSTILE in page.text
    assert "512 × 768" in page.text


def test_a_file_uri_leads_back_to_its_file(tmp_path):
    assert local_path((tmp_path / "ein Bild.png").as_uri()) == tmp_path / "ein Bild.png"
