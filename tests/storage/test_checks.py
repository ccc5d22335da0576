# SPDX-License-Identifier: Apache-2.0
"""Pictures that are whole by their structure: decoded if asked for, flagged where a person should look."""

from __future__ import annotations

import io
import logging
import subprocess
import sys

import pytest
from PIL import Image, ImageDraw, ImageFilter

from airflow_provider_dreambooth.sandbox.drawing import draw as draw_scene
from airflow_provider_dreambooth.storage import Picture, save_pictures
from airflow_provider_dreambooth.storage.pictures import examine
from tests.storage.conftest import draw, tree

KINDS = ("PNG", "JPEG", "WEBP", "GIF")


def encoded(picture: Image.Image, kind: str) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind)
    return buffer.getvalue()


@pytest.fixture
def save(destination, log):
    def run(pictures, **options):
        options = {"allow_private": True, "link_patience": 0.0, "log": log} | options
        return save_pictures(pictures, destination, **options)

    return run


def broken(kind: str) -> bytes:
    """A picture whose parts add up, and whose pixels are wrong."""
    data = bytearray(draw(kind, (300, 200)))
    if kind == "PNG":  # its own checksums would tell: these are of other pixels
        import struct
        import zlib

        chunk = b"IDAT" + zlib.compress(b"too few pixels")
        start, end = data.index(b"IDAT") - 4, data.index(b"IEND") - 4
        data[start:end] = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
        return bytes(data)
    if kind == "WEBP":
        data[30:60] = bytes(30)
        return bytes(data)
    position = data.index(b"\xff\xc4") + 5
    data[position : position + 12] = bytes([0x7F]) * 12
    return bytes(data)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_what_only_decoding_finds(kind, host, save, folder):
    picture = Picture("1", 0, host.give("/x", broken(kind)))
    report = save([picture], verify="decode")
    assert report.saved == ()
    assert "whole by its structure, but cannot be decoded" in report.failed[0].reason
    assert not report.failed[0].final
    assert tree(folder) == []
    assert len(save([picture]).saved) == 1


def test_a_passing_fault_of_the_pixels_is_tried_again(host, save, pictures):
    picture = Picture("1", 0, host.give("/x", broken("JPEG"), pictures[".jpg"]))
    assert len(save([picture], verify="decode").saved) == 1
    assert host.asked("/x") == 2


def test_pictures_of_every_kind_can_be_decoded(host, save, pictures, folder):
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue")]
    moving = io.BytesIO()
    frames[0].save(moving, "GIF", save_all=True, append_images=frames[1:])
    several = [*pictures.values(), moving.getvalue()]
    wanted = [Picture("1", i, host.give(f"/{i}", data)) for i, data in enumerate(several)]
    report = save(wanted, verify="decode")
    assert report.failed == ()
    assert save(wanted, verify="decode") == report  # read back, decoded, not downloaded
    assert host.asked("/0") == 1


def test_a_picture_too_large_to_be_decoded_says_so(host, save, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    (failed,) = save([Picture("1", 0, host.give("/x", draw("PNG", (300, 200))))], verify="decode").failed
    assert "not decoded, as it is too large" in failed.reason
    assert failed.final
    assert host.asked("/x") == 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(256, 256), (512, 768), (1024, 1024)], ids=str)
@pytest.mark.parametrize("verify", ["structure", "decode"])
def test_a_picture_of_one_colour_is_blank(kind, size, verify, host, save):
    wanted = [
        Picture("1", i, host.give(f"/{i}", encoded(Image.new("RGB", size, colour), kind)))
        for i, colour in enumerate(["black", "white", (201, 137, 60)])
    ]
    report = save(wanted, verify=verify)
    assert [item.blank for item in report.saved] == [True] * 3
    assert all(item.to_dict()["blank"] is True for item in report.saved)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(48, 32), (256, 256), (512, 768), (1024, 576), (1024, 1024)], ids=str)
def test_a_picture_of_something_is_not(kind, size, tmp_path):
    path = tmp_path / "x"
    noise = Image.effect_noise((size[0] // 8, size[1] // 8), 60).resize(size).convert("RGB")
    for picture in (
        noise.filter(ImageFilter.GaussianBlur(3)),
        Image.open(io.BytesIO(draw_scene("13443927", "a fox in the snow", 7, *size))).convert("RGB"),
    ):
        path.write_bytes(encoded(picture, kind))
        assert not examine(path).blank


@pytest.mark.parametrize("verify", ["structure", "decode"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_line_of_text_is_something(kind, verify, host, save):
    plate = Image.new("RGB", (512, 512), "white")
    ImageDraw.Draw(plate).text((20, 250), "sensitive content", fill="black", font_size=36)
    assert (
        save([Picture("1", 0, host.give("/x", encoded(plate, kind)))], verify=verify).saved[0].blank is None
    )


def test_grey_of_sixteen_bits_is_not_blank(host, save):
    grey = Image.new("I;16", (300, 300), 1000)
    for x in range(300):
        grey.putpixel((x, 5), 1000 + x * 170)
    url = host.give("/x", encoded(grey, "PNG"))
    assert save([Picture("1", 0, url)], verify="decode").saved[0].blank is None


def test_an_animation_that_would_take_hours_is_refused(host, save, monkeypatch):
    monkeypatch.setattr("airflow_provider_dreambooth.storage.decoding._MOST_PIXELS", 1000)
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue", "green")]
    moving = io.BytesIO()
    frames[0].save(moving, "GIF", save_all=True, append_images=frames[1:])
    (failed,) = save([Picture("1", 0, host.give("/x", moving.getvalue()))], verify="decode").failed
    assert "more than 1,000 pixels in its frames" in failed.reason
    assert failed.final
    assert host.asked("/x") == 1


def test_pictures_with_the_same_bytes_are_noted(host, save, pictures, caplog):
    same = host.give("/same", pictures[".png"])
    wanted = [
        Picture("1", 0, same),
        Picture("1", 1, host.give("/other", pictures[".jpg"])),
        Picture("2", 0, same + "?copy"),
        Picture("1", 0, same),  # the same output twice is no copy
    ]
    with caplog.at_level(logging.WARNING):
        report = save(wanted)
    noted = [item.to_dict().get("same_bytes_as") for item in report.saved]
    first, other = {"request_id": "1", "index": 0}, {"request_id": "2", "index": 0}
    assert noted == [[other], None, [first], [other]]
    assert "same bytes as 2-0" in caplog.text


def test_known_placeholders_are_flagged(host, save, pictures, caplog):
    wanted = [Picture("1", i, host.give(f"/{i}", data)) for i, data in enumerate(pictures.values())]
    placeholder = save(wanted[:1]).saved[0].sha256
    with caplog.at_level(logging.WARNING):
        report = save(wanted, blocked_sha256=[placeholder])
    assert [item.blocked for item in report.saved] == [True, None, None, None]
    assert "Picture 0 of request 1" in caplog.text
    assert "it is one of 'blocked_sha256'" in caplog.text


def test_many_flags_are_summed_up(host, save, pictures, caplog):
    url = host.give("/x", pictures[".png"])
    with caplog.at_level(logging.WARNING):
        save([Picture(str(number), 0, f"{url}?{number}") for number in range(25)])
    assert len(caplog.records) == 21
    assert "5 more pictures are flagged" in caplog.text
    assert "same bytes as 0-0, 1-0, 2-0 …" in caplog.text


def test_names_of_the_content(host, save, pictures, folder):
    wanted = [
        Picture("1", 0, host.give("/0", pictures[".png"])),
        Picture("1", 1, host.give("/1", pictures[".png"])),
        Picture("1", 2, host.give("/2", pictures[".jpg"])),
    ]
    report = save(wanted, name="{date}/{sha256}{suffix}", date="2026-11-23")
    assert report.failed == ()
    assert len({item.uri for item in report.saved}) == 2
    assert tree(folder) == sorted({f"2026-11-23/{one.sha256}.{one.uri[-3:]}" for one in report.saved})
    assert save(wanted, name="{date}/{sha256}", date="2026-11-23") == report


WITHOUT_PILLOW = """
import sys
sys.modules["PIL"] = None
from airflow_provider_dreambooth.storage.decoding import require_pillow
try:
    require_pillow("verify='decode'")
except ValueError as error:
    print(error)
"""


def test_what_is_needed_is_told_where_pillow_is_missing():
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", WITHOUT_PILLOW],
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    assert "verify='decode' needs Pillow" in done.stdout
    assert "pip install 'airflow-provider-dreambooth[pictures]'. Nothing was sent." in done.stdout
