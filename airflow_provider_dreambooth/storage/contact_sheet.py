# SPDX-License-Identifier: Apache-2.0
"""The contact sheet: one HTML page of a folder's pictures, with nothing to load and nothing to run."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any
from urllib.parse import quote

SHEET = "index.html"
MOST_SHOWN = 500
"""Pictures on one page, the newest; each takes about 10 kB of it."""
_GENERATOR = '<meta name="generator" content="airflow-provider-dreambooth">'
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
STYLE = """
:root { color-scheme: light dark;
  --page: #f7f6f3; --card: #fff; --ink: #1d1c1a; --faint: #6b6862; --line: #e2dfd8;
  --flag: #fbe3c8; --flag-ink: #6d3b00 }
@media (prefers-color-scheme: dark) {
  :root { --page: #171615; --card: #211f1e; --ink: #ecebe8; --faint: #a19d96; --line: #383532;
    --flag: #55371a; --flag-ink: #ffdfb8 }
}
* { box-sizing: border-box }
body { margin: 0; padding: 2rem clamp(1rem, 4vw, 4rem); background: var(--page); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif }
header { margin-bottom: 1.5rem }
h1 { font-size: 1.5rem; line-height: 1.2; margin: 0 0 .25rem }
p { margin: 0 }
header p, dl { color: var(--faint); font-size: .875rem }
main { display: grid; gap: 1.25rem; grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr)) }
figure { margin: 0; background: var(--card); border: 1px solid var(--line); border-radius: .5rem;
  overflow: hidden }
img { display: block; width: 100%; height: auto; aspect-ratio: 1; object-fit: contain;
  background: var(--line) }
figcaption { padding: .75rem 1rem 1rem }
dl { display: grid; grid-template-columns: auto 1fr; gap: 0 .75rem; margin: .5rem 0 0;
  font-variant-numeric: tabular-nums }
dd { margin: 0; overflow-wrap: anywhere }
a { display: block; color: inherit }
a:focus-visible { outline: 3px solid; outline-offset: -3px }
.none { display: grid; place-items: center; aspect-ratio: 1; background: var(--line); color: var(--faint) }
.prompt { overflow-wrap: anywhere; display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 6;
  overflow: hidden }
ul { list-style: none; margin: .5rem 0 0; padding: 0; display: flex; flex-wrap: wrap; gap: .25rem }
li { font-size: .75rem; padding: .1rem .5rem; border-radius: 1rem; background: var(--flag);
  color: var(--flag-ink) }
"""
_THUMBNAIL = re.compile(r"data:image/webp;base64,[A-Za-z0-9+/=]+", re.ASCII)


def is_contact_sheet(content: bytes) -> bool:
    """Tell a page of ours from somebody else's."""
    return _GENERATOR.encode() in content[:1000]


def contact_sheet(
    entries: Sequence[Mapping[str, Any]], thumbnails: Mapping[str, str], *, total: int, folder: str
) -> str:
    """
    Lay pictures out.

    All that it shows comes from replies and prompts, so all of it is escaped.

    :param entries: of a manifest, in the order in which they are shown.
    :param thumbnails: ``data:`` URLs by the SHA-256 of the picture.
    :param total: pictures in the manifest; if there are more than shown, the page says so.
    :param folder: URI of the destination, below which the page is.
    """
    figures = "\n".join(_figure(one, thumbnails.get(str(one.get("sha256")), ""), folder) for one in entries)
    title = "1 picture" if total == 1 else f"{total:,} pictures"
    shown = f"The newest {len(entries):,} are shown. " if len(entries) < total else ""
    return f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
{_GENERATOR}
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<title>{escape(title)}</title>
<style>{STYLE}</style>
<header><h1>{escape(title)}</h1><p>{shown}{escape(folder)}</p></header>
<main>
{figures}
</main>
</html>
"""


def _figure(entry: Mapping[str, Any], thumbnail: str, folder: str) -> str:
    prompt = str(entry.get("prompt") or "")
    name = str(entry.get("uri", "")).removeprefix(f"{folder}/")
    facts = {
        "Request": f"{entry['request_id']}, picture {entry['index']}",
        "Model": entry.get("model"),
        "Seed": entry.get("seed"),
        "Size": f"{entry.get('width')} × {entry.get('height')}, {_kilobytes(entry.get('bytes'))}",
        "SHA-256": f"{str(entry.get('sha256') or '')[:12]}…",
        "File": name,
    }
    rows = "".join(
        f"<dt>{label}</dt><dd>{escape(str(fact))}</dd>" for label, fact in facts.items() if fact is not None
    )
    flags = "".join(f"<li>{escape(flag)}</li>" for flag in _flags(entry))
    picture = '<span class="none">no preview</span>'
    if _THUMBNAIL.fullmatch(thumbnail):
        picture = f'<img src="{thumbnail}" alt="{escape(prompt or name)}" loading="lazy">'
    return (
        f'<figure><a href="{escape(quote(name))}">{picture}</a><figcaption>'
        + (f'<p class="prompt">{escape(prompt)}</p>' if prompt else "")
        + (f"<ul>{flags}</ul>" if flags else "")
        + f"<dl>{rows}</dl></figcaption></figure>"
    )


def _flags(entry: Mapping[str, Any]) -> list[str]:
    flags = []
    if entry.get("nsfw_content_detected"):
        flags.append("flagged as unsafe by the service")
    if entry.get("blocked"):
        flags.append("a known placeholder")
    if entry.get("blank"):
        flags.append("blank")
    if same := entry.get("same_bytes_as"):
        others = ", ".join(f"{one['request_id']}-{one['index']}" for one in same[:3])
        flags.append(f"same bytes as {others}" + (" …" if len(same) > 3 else ""))
    return flags


def _kilobytes(count: object) -> str:
    return f"{count / 1000:,.0f} kB" if isinstance(count, int) else "size unknown"
