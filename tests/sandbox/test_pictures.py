# SPDX-License-Identifier: Apache-2.0
"""Real pictures behind the links, and everything that is wrong with links."""

from __future__ import annotations

import base64
import io

import pytest
import requests
from PIL import Image

from airflow_provider_dreambooth.sandbox.drawing import draw

INCOMPLETE = (requests.exceptions.ChunkedEncodingError, requests.ConnectionError)


def test_pictures_are_real(sandbox, client):
    first, second = client.links(sandbox.add(prompt="a red fox", samples=2, width=320, height=200, seed=5))
    assert first.startswith(f"{sandbox.url}/pictures/")
    assert (first[-6:], second[-6:]) == ("-0.png", "-1.png")
    replies = [client.get(link) for link in (first, second)]
    for reply in replies:
        assert reply.headers["Content-Type"] == "image/png"
        picture = Image.open(io.BytesIO(reply.content))
        assert (picture.format, picture.size) == ("PNG", (320, 200))
        picture.load()
    assert replies[0].content != replies[1].content
    assert replies[0].content == client.get(first).content
    assert sandbox.journal[-1].key_ok is None


@pytest.mark.parametrize(("kind", "suffix"), [("jpeg", ".jpg"), ("webp", ".webp")])
def test_other_formats(sandbox, client, kind, suffix):
    (link,) = client.links(sandbox.add(format=kind))
    reply = client.get(link)
    assert link.endswith(suffix)
    assert reply.headers["Content-Type"] == f"image/{kind}"
    assert Image.open(io.BytesIO(reply.content)).format == kind.upper()


def test_base64_text(sandbox, client):
    (link,) = client.links(sandbox.add(base64=True))
    assert link.endswith(".base64")
    assert base64.b64decode(client.get(link).content, validate=True).startswith(b"\x89PNG")


def test_the_picture_shows_id_prompt_and_seed():
    one = draw("1 · 0", "a red fox", 7, 256, 256)
    assert one == draw("1 · 0", "a red fox", 7, 256, 256)
    others = [
        draw("2 · 0", "a red fox", 7, 256, 256),
        draw("1 · 0", "a cat", 7, 256, 256),
        draw("1 · 0", "a red fox", 8, 256, 256),
    ]
    assert one not in others
    draw("1 · 0", "long " * 500, 7, 8, 8)


def test_pictures_of_the_other_kinds_look_different():
    pictures = {
        draw("1 · 0", "a red fox", 7, 256, 256, "png", kind) for kind in ("text2img", "img2img", "inpaint")
    }
    assert len(pictures) == 3


@pytest.mark.parametrize(
    ("prompt", "checker", "censored"),
    [("NSFW art", "yes", True), ("NSFW art", "no", False), ("a nudebranch", "yes", False)],
)
def test_the_safety_checker_leaves_a_blank_picture(sandbox, client, prompt, checker, censored):
    body = {"prompt": prompt, "model_id": "flux", "safety_checker": checker, "width": 256, "height": 256}
    sandbox.script("submit", ["success", "success"])
    older, newer = (client.post(path, **body).json() for path in ("v4/dreambooth", "v6/images/text2img"))
    assert (older["status"], newer["status"]) == ("success", "success")
    assert "nsfw_content_detected" not in older
    assert newer["nsfw_content_detected"] == censored
    fetched = client.post(f"v6/images/fetch/{newer['id']}").json()
    assert fetched.get("nsfw_content_detected", False) == censored
    picture = Image.open(io.BytesIO(client.get(older["output"][0]).content))
    assert picture.size == (256, 256)
    assert (picture.getcolors(1) is not None) == censored


def test_a_blank_picture_without_a_submit(sandbox, client):
    (link,) = client.links(sandbox.add(prompt="nsfw", safety_checker="yes", format="jpeg"))
    assert Image.open(io.BytesIO(client.get(link).content)).getextrema() == ((0, 0),) * 3


def test_no_picture_before_its_time(sandbox, client):
    reply = client.post("v4/dreambooth", prompt="x", model_id="flux").json()
    (link,) = reply["future_links"]
    assert client.get(link).status_code == 404
    sandbox.finish(reply["id"])
    assert client.get(link).status_code == 200
    assert client.get(link.replace("-0.png", "-1.png")).status_code == 404
    assert client.get(f"{sandbox.url}/pictures/generations/nobody-0.png").status_code == 404


@pytest.mark.parametrize(
    ("fault", "statuses"),
    [
        ("late:2", [404, 404, 200]),
        ({"fault": "late", "requests": 1, "http": 403}, [403, 200]),
        ("late_seconds:0", [200]),
        ("late_seconds:60", [404, 404]),
        ("gone", [404, 404]),
        ("http_403", [403, 403]),
        ("http_429:1", [429, 429]),
        (["http_500", "http_503"], [500, 503, 200]),
        (None, [200]),
        ("delay:0.01", [200]),
    ],
)
def test_links_that_are_not_there(sandbox, client, fault, statuses):
    request_id = sandbox.add(picture_faults=[fault])
    (link,) = client.links(request_id)
    assert [client.get(link).status_code for _ in statuses] == statuses
    assert sandbox.picture_requests(request_id) == len(statuses)


@pytest.mark.parametrize("fault", ["truncated:60", "stalled:0.01", "drop", "hang:0.01", "lost"])
def test_pictures_that_break_off(sandbox, client, fault):
    (link,) = client.links(sandbox.add(picture_faults=[fault]))
    with pytest.raises(INCOMPLETE):
        client.get(link)
    assert sandbox.journal[-1].answered_as == fault.partition(":")[0]


def test_a_picture_that_is_cut_short_without_a_sign(sandbox, client):
    (link,) = client.links(sandbox.add(picture_faults=["truncated_whole:60"]))
    reply = client.get(link)
    assert len(reply.content) == int(reply.headers["Content-Length"]) == 60


def test_pictures_that_lie_about_themselves(sandbox, client):
    faults = ["wrong_type", "wrong_suffix:.gif", "html_200", "html_as_picture"]
    links = client.links(sandbox.add(samples=4, picture_faults=faults))
    typed, named, page, disguised = (client.get(link) for link in links)
    assert typed.headers["Content-Type"] == "text/plain"
    assert typed.content.startswith(b"\x89PNG")
    assert links[1].endswith(".gif")
    assert named.content.startswith(b"\x89PNG")
    assert page.headers["Content-Type"].startswith("text/html")
    assert disguised.headers["Content-Type"] == "image/png"
    assert disguised.text.startswith("<html>")


def test_pictures_without_end(sandbox, client):
    links = client.links(sandbox.add(samples=2, picture_faults=["huge:1000000", "endless:1000000"]))
    huge, endless = (client.get(link) for link in links)
    assert huge.headers["Content-Length"] == "1000000"
    assert "Content-Length" not in endless.headers
    assert huge.content == endless.content == b"\x89PNG\r\n\x1a\n" + bytes(1_000_000 - 8)


def test_a_client_that_turns_away_from_a_huge_picture_does_no_harm(sandbox, client):
    (link,) = client.links(sandbox.add(picture_faults=["huge"]))
    with client.session.get(link, stream=True, timeout=10) as reply:
        assert next(reply.iter_content(8)) == b"\x89PNG\r\n\x1a\n"
    assert client.fetch(1).status_code == 200


def test_a_picture_that_is_elsewhere(sandbox, client):
    (link,) = client.links(sandbox.add(picture_faults=["redirect_302:http://169.254.169.254/"]))
    assert client.get(link).headers["Location"] == "http://169.254.169.254/"


@pytest.mark.parametrize(
    "output", [["file:///etc/passwd", "http://169.254.169.254/x"], "http://x/y.png", [None], {}]
)
def test_any_output(sandbox, client, output):
    assert client.links(sandbox.add(output=output)) == output
