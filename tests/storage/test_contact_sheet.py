# SPDX-License-Identifier: Apache-2.0
"""The contact sheet holds everything itself, and nothing in it can get out of its place."""

from __future__ import annotations

import io
import shutil
import struct
import zlib
from base64 import b64decode
from functools import partial
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest
from PIL import Image

from airflow_provider_dreambooth.exceptions import DreamboothSaveError
from airflow_provider_dreambooth.storage import Picture, check_folder, save_pictures, write_manifest
from airflow_provider_dreambooth.storage.contact_sheet import contact_sheet, is_contact_sheet
from airflow_provider_dreambooth.storage.pictures import examine
from airflow_provider_dreambooth.storage.thumbnails import thumbnail as preview
from tests.storage.conftest import draw

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


def links(page: Page) -> list[str | None]:
    """Where the pictures' links lead."""
    found = [attributes["href"] for tag, attributes in page.tags if tag == "a"]
    assert found.pop(0) == "manifest.json"
    return found


FOLDER = "s3://bucket/folder"


def entry(**more):
    known = {
        "request_id": "7",
        "index": 0,
        "uri": f"{FOLDER}/a b?.png",
        "bytes": 7000,
        "sha256": "ab" * 32,
        "width": 512,
        "height": 768,
    }
    return known | more


def page_of(*entries, thumbnails=None, total=None):
    total = len(entries) if total is None else total
    updated_at = "2026-11-25T08:15:30.000000Z"
    return contact_sheet(entries, thumbnails or {}, total=total, folder=FOLDER, updated_at=updated_at)


def test_everything_is_inside_and_escaped():
    hostile = entry(
        prompt=HOSTILE,
        model=HOSTILE,
        seed=HOSTILE,
        uri=f"{FOLDER}/{HOSTILE}",
        same_bytes_as=[{"request_id": HOSTILE, "index": 1}],
        nsfw_content_detected=True,
        blank=True,
        blocked=True,
    )
    page = Page(page_of(hostile, thumbnails={"ab" * 32: "data:image/webp;base64,UklGRg=="}))
    names = {tag for tag, _ in page.tags}
    assert not names & {"script", "iframe", "object"}
    assert [attributes["href"] for tag, attributes in page.tags if tag == "link"] == ["data:,"]
    [image] = [attributes for tag, attributes in page.tags if tag == "img"]
    assert image["alt"] == HOSTILE  # the file's name
    assert image["src"] == "data:image/webp;base64,UklGRg=="
    assert links(page)[0].startswith("%22%3E%3Cscript%3E")
    assert page.text.count(HOSTILE) == 5  # prompt, model, seed, file, same bytes
    for told in ("512 × 768", "7 kB", "unsafe, says the service", "placeholder", "blank"):
        assert told in page.text


def test_links_are_relative_so_that_they_work_from_bucket_and_disk():
    assert links(Page(page_of(entry()))) == ["a%20b%3F.png"]


@pytest.mark.parametrize(
    "thumbnail", ["https://evil.example/x.webp", "data:text/html;base64,AA==", 'x"onload="']
)
def test_a_thumbnail_that_is_none_is_not_shown(thumbnail):
    page = Page(page_of(entry(), thumbnails={"ab" * 32: thumbnail}))
    assert "img" not in {tag for tag, _ in page.tags}
    assert "no preview" in page.text


def test_more_than_fit_are_told():
    assert "1 picture" in page_of(entry())
    page = Page(page_of(entry(), total=12_345))
    assert "12,345 pictures" in page.text
    assert "the newest 1 are shown" in page.text


def test_the_header_says_where_and_when():
    page = Page(page_of(entry(), entry(blank=True)))
    assert f"1 flagged · {FOLDER} · updated 2026-11-25 08:15 UTC · manifest" in page.text


@pytest.mark.parametrize(
    ("name", "shown"),
    [("7-0.png", False), ("a/7-0.png", False), ("fox_7-0.png", False), ("17-0.png", True), ("x.png", True)],
)
def test_the_request_is_named_where_the_file_s_name_does_not(name, shown):
    assert ("Request" in Page(page_of(entry(uri=f"{FOLDER}/{name}"))).text) == shown


def test_long_prompts_are_folded():
    assert "<details>" not in page_of(entry(prompt="a fox"))
    assert "<details>" in page_of(entry(prompt="a fox " * 50))


def test_what_is_known_by_nobody_is_left_out():
    page = Page(page_of(entry(bytes=None, sha256=None)))
    assert "Seed" not in page.text
    assert "None" not in page.text.replace("size unknown", "")


def test_our_own_page_is_known_again():
    assert is_contact_sheet(page_of(entry()).encode())
    assert not is_contact_sheet(b"<!doctype html><title>my site</title>")


@pytest.fixture
def show(destination, host, log):
    def run(pictures, **options):
        report = save_pictures(
            pictures,
            destination,
            with_thumbnails=True,
            allow_private=True,
            link_patience=0.0,
            log=log,
            **options,
        )
        write_manifest(destination, report.saved, with_contact_sheet=True, log=log)
        return report

    return run


def test_pictures_of_every_kind_are_shown_small(show, host, folder, pictures):
    large = [draw(kind, (1500, 900)) for kind in ("PNG", "JPEG", "WEBP", "GIF")]
    show([Picture("1", index, host.give(f"/{index}", data)) for index, data in enumerate(large)])
    page = Page((folder / "index.html").read_text(encoding="utf-8"))
    shown = [attributes["src"] for tag, attributes in page.tags if tag == "img"]
    assert len(set(shown)) == 4
    for source in shown:
        small = Image.open(io.BytesIO(b64decode(source.partition(",")[2])))
        assert small.format == "WEBP"
        assert max(small.size) == 320
    assert links(page) == ["1-0.png", "1-1.jpg", "1-2.webp", "1-3.gif"]
    assert all((folder / unquote(link)).is_file() for link in links(page))
    assert "thumbnails" not in (folder / "manifest.json").read_text()


def test_a_later_task_adds_to_the_page(show, host, folder, pictures):
    first = [Picture("1", index, host.give(f"/{index}", pictures[".png"])) for index in range(2)]
    show(first)
    show([Picture("2", 0, host.give("/x", pictures[".jpg"]))])
    read = partial(Path.read_text, folder / "index.html", encoding="utf-8")
    assert links(Page(read())) == ["2-0.jpg", "1-0.png", "1-1.png"]
    show(first[1:])  # found whole, so that it comes first
    page = Page(read())
    assert links(page) == ["1-1.png", "2-0.jpg", "1-0.png"]
    assert len([tag for tag, _ in page.tags if tag == "img"]) == 3


def test_pictures_stay_on_the_page_when_the_parts_are_tidied_away(show, host, folder, pictures):
    show([Picture("1", 0, host.give("/0", pictures[".png"]))])
    shutil.rmtree(folder / ".manifest")
    show([Picture("2", 0, host.give("/1", pictures[".jpg"]))])
    page = Page((folder / "index.html").read_text(encoding="utf-8"))
    assert links(page) == ["2-0.jpg", "1-0.png"]
    assert page.text.count("no preview") == 1


def test_a_page_of_somebody_else_is_left_alone(destination, folder):
    folder.mkdir()
    (folder / "index.html").write_text("<title>my site</title>")
    with pytest.raises(DreamboothSaveError, match=r"index\.html is there, but it is no contact sheet"):
        check_folder(destination, overwrite=False, with_contact_sheet=True)
    check_folder(destination, overwrite=False, with_contact_sheet=False)
    (folder / "index.html").write_text(page_of(entry()))
    check_folder(destination, overwrite=False, with_contact_sheet=True)


def test_a_preview_that_cannot_be_made_costs_no_picture(tmp_path, pictures):
    """Pillow raises an IndexError for an empty colour profile; the picture is whole all the same."""
    end = len(pictures[".png"]) - 12
    chunk = struct.pack(">I4sI", 0, b"iCCP", zlib.crc32(b"iCCP"))
    path = tmp_path / "x.png"
    path.write_bytes(pictures[".png"][:end] + chunk + pictures[".png"][end:])
    info = examine(path)
    assert preview(path, info.width * info.height) is None
