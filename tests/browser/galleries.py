# SPDX-License-Identifier: Apache-2.0
"""Folders of pictures as they come in life, saved with a contact sheet by the code that saves."""

from __future__ import annotations

import io
import logging
from dataclasses import dataclass
from typing import Any

from airflow.providers.common.compat.sdk import ObjectStoragePath
from PIL import Image

from airflow_provider_dreambooth.sandbox.drawing import draw
from airflow_provider_dreambooth.storage import Picture, save_pictures, write_manifest
from airflow_provider_dreambooth.storage.provenance import Provenance
from tests.storage.conftest import Host

HOSTILE = (
    "\"'><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
    "</p></figure><h2 id=injected>owned</h2><style>body{display:none}</style>"
    "<a href=\"javascript:document.title='owned'\">click</a> &lt;b&gt; {{ ds }} \u202edesrever"
)
LONG = (
    "an intricate clockwork city on the back of a tortoise, brass towers and paper lanterns, "
    "drifting through fog at dawn, volumetric light, 35 mm, muted colours, film grain, "
) * 6
UNBROKEN = "masterpiece," * 60


@dataclass(frozen=True)
class Shot:
    """One picture of a gallery."""

    prompt: str | None
    size: tuple[int, int] = (768, 768)
    kind: str = "png"
    seed: int | None = 1
    model: str | None = "midjourney"
    nsfw: bool | None = None
    blank: bool = False

    def data(self) -> bytes:
        if self.blank:
            file = io.BytesIO()
            Image.new("RGB", self.size, "black").save(file, self.kind)
            return file.getvalue()
        return draw("", "", self.seed or 0, *self.size, self.kind)


FEW = [
    Shot("rolling hills under a low sun, soft morning light, highly detailed", seed=5),
    Shot("a mountain valley in two colours, screen print", (512, 768), "jpeg", seed=16),
    Shot("a wide plain at dusk, seen from a balloon", (1216, 640), "webp", seed=1977),
    Shot("moonrise above the dunes, oil on canvas", (640, 960), seed=2_147_483_647, nsfw=True),
    Shot(None, (512, 512), seed=None, model=None),
    Shot("a paper boat on a rain puddle", seed=11, blank=True),
    Shot("terraced fields after the rain", (768, 512), seed=23, model="realistic-vision-v51"),
    Shot("an island of basalt, long exposure", (768, 768), seed=31, model="realistic-vision-v51"),
]
ODD = [
    Shot(HOSTILE, seed=3, model="<svg onload=alert(1)>"),
    Shot(LONG, (512, 768), seed=4),
    Shot(UNBROKEN, (768, 512), seed=5),
    Shot("一只在雪地里的红狐狸，柔和的晨光", seed=6),
    Shot("a strip, as wide as it gets", (1600, 100), seed=8),
    Shot("a tower, as tall as it gets", (100, 1600), seed=9),
    Shot("the same twice", (512, 512), seed=10),
    Shot("the same twice", (512, 512), seed=10),
    Shot(None, (512, 512), seed=12, model=None),
]
ONE = FEW[:1]
MANY = [Shot(f"study {n} of a mountain lake, pastel", (256, 256), seed=n) for n in range(60)]


def save(gallery: list[Shot], destination: ObjectStoragePath, host: Host, **options: Any) -> None:
    """Save a gallery and its contact sheet, through downloads as in life."""
    pictures = []
    for number, shot in enumerate(gallery):
        request_id = str(13443927 + number)
        link = host.give(f"/{number}", shot.data())
        provenance = Provenance(shot.model, shot.seed, shot.prompt, shot.nsfw)
        pictures.append(Picture(request_id, 0, link, provenance))
    log = logging.getLogger("tests.browser")
    report = save_pictures(
        pictures, destination, allow_private=True, with_thumbnails=True, log=log, **options
    )
    assert report.failed == ()
    write_manifest(destination, report.saved, with_contact_sheet=True, log=log)
