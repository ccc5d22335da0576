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
"""Pictures on one page, the newest; each takes 10 to 15 kB of it."""
_GENERATOR = '<meta name="generator" content="airflow-provider-dreambooth">'
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
STYLE = """
:root { color-scheme: light dark;
  --page: #f7f6f3; --card: #fff; --ink: #1d1c1a; --faint: #6b6862; --line: #e2dfd8;
  --flag: #fbe3c8; --flag-ink: #6d3b00; --flag-line: #d99a4e }
@media (prefers-color-scheme: dark) {
  :root { --page: #171615; --card: #211f1e; --ink: #ecebe8; --faint: #a19d96; --line: #383532;
    --flag: #55371a; --flag-ink: #ffdfb8; --flag-line: #a06a2c }
}
* { box-sizing: border-box }
body { margin: 0; padding: 2rem clamp(1rem, 4vw, 4rem); background: var(--page); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif }
header { margin-bottom: 1.5rem }
h1 { font-size: 1.5rem; line-height: 1.2; margin: 0 0 .25rem }
p { margin: 0 }
header p, dl { color: var(--faint); font-size: .875rem }
header p { overflow-wrap: anywhere }
main { display: grid; gap: 1.25rem; grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr)) }
main:has(details[open]) { align-items: start }
figure { margin: 0; background: var(--card); border: 1px solid var(--line); border-radius: .5rem;
  overflow: hidden; break-inside: avoid }
figure.flagged { border-color: var(--flag-line) }
figure > a { display: block }
a { color: inherit }
a:focus-visible, summary:focus-visible { outline: 3px solid; outline-offset: -3px }
img, .none { display: block; width: 100%; aspect-ratio: 1; object-fit: contain; background: var(--line) }
.none { display: grid; place-items: center; color: var(--ink) }
figcaption { display: grid; gap: .5rem; padding: .75rem 1rem 1rem }
.prompt { display: block; overflow-wrap: anywhere }
summary { cursor: pointer; list-style: none }
summary::-webkit-details-marker { display: none }
details:not([open]) .prompt { display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 4;
  overflow: hidden }
summary::after { content: "more"; font-size: .875rem; color: var(--faint); text-decoration: underline }
details[open] summary::after { content: "less" }
ul { list-style: none; margin: 0; padding: 0; display: flex; flex-wrap: wrap; gap: .25rem }
li { font-size: .75rem; padding: .1rem .5rem; border-radius: .5rem; background: var(--flag);
  color: var(--flag-ink); overflow-wrap: anywhere }
dl { display: grid; grid-template-columns: auto 1fr; gap: 0 .75rem; margin: 0;
  font-variant-numeric: tabular-nums }
dd { margin: 0; overflow-wrap: anywhere }
"""
_LONG_PROMPT = 160
"""Characters from which on a prompt is folded."""
_THUMBNAIL = re.compile(r"data:image/webp;base64,[A-Za-z0-9+/=]+", re.ASCII)


def is_contact_sheet(content: bytes) -> bool:
    """Tell a page of ours from somebody else's."""
    return _GENERATOR.encode() in content[:1000]


def contact_sheet(
    entries: Sequence[Mapping[str, Any]],
    thumbnails: Mapping[str, str],
    *,
    total: int,
    folder: str,
    updated_at: str,
) -> str:
    """
    Lay pictures out.

    All that it shows comes from replies and prompts, so all of it is escaped.

    :param entries: of a manifest, in the order in which they are shown.
    :param thumbnails: ``data:`` URLs by the SHA-256 of the picture.
    :param total: pictures in the manifest; if there are more than shown, the page says so.
    :param folder: URI of the destination, below which the page is.
    :param updated_at: ISO 8601, UTC.
    """
    figures = "\n".join(_figure(one, thumbnails.get(str(one.get("sha256")), ""), folder) for one in entries)
    title = "1 picture" if total == 1 else f"{total:,} pictures"
    told = [folder, f"updated {updated_at[:16].replace('T', ' ')} UTC"]
    if len(entries) < total:
        told.insert(0, f"the newest {len(entries):,} are shown")
    if flagged := sum(bool(_flags(one)) for one in entries):
        told.insert(0, f"{flagged:,} flagged")
    about = f'{escape(" · ".join(told))} · <a href="manifest.json">manifest</a>'
    return f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
{_GENERATOR}
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<link rel="icon" href="data:,">
<title>{escape(f"{title} – {folder}")}</title>
<style>{STYLE}</style>
<header><h1>{escape(title)}</h1><p>{about}</p></header>
<main>
{figures}
</main>
</html>
"""


def _figure(entry: Mapping[str, Any], thumbnail: str, folder: str) -> str:
    prompt = str(entry.get("prompt") or "")
    name = str(entry.get("uri", "")).removeprefix(f"{folder}/")
    known = f"{entry['request_id']}-{entry['index']}"
    facts = {
        "Request": None if re.search(rf"(^|[/ _]){re.escape(known)}\.", name) else known,
        "Model": entry.get("model"),
        "Seed": entry.get("seed"),
        "Size": f"{entry.get('width')} × {entry.get('height')}, {_kilobytes(entry.get('bytes'))}",
        "File": name,
    }
    rows = "".join(
        f"<dt>{label}</dt><dd>{escape(str(fact))}</dd>" for label, fact in facts.items() if fact is not None
    )
    flags = "".join(f"<li>{escape(flag)}</li>" for flag in _flags(entry))
    picture = '<span class="none">no preview</span>'
    if _THUMBNAIL.fullmatch(thumbnail):
        picture = f'<img src="{thumbnail}" alt="{escape(name)}" decoding="async">'
    kind = ' class="flagged"' if flags else ""
    digest = escape(str(entry.get("sha256") or "unknown"))
    return (
        f'<figure{kind}><a href="{escape(quote(name))}">{picture}</a><figcaption>'
        + _prompt(prompt)
        + (f"<ul>{flags}</ul>" if flags else "")
        + f'<dl title="SHA-256 {digest}">{rows}</dl></figcaption></figure>'
    )


def _prompt(prompt: str) -> str:
    if not prompt:
        return ""
    text = f'<span class="prompt" dir="auto">{escape(prompt)}</span>'
    return f"<details><summary>{text}</summary></details>" if len(prompt) > _LONG_PROMPT else text


def _flags(entry: Mapping[str, Any]) -> list[str]:
    flags = []
    if entry.get("nsfw_content_detected"):
        flags.append("unsafe, says the service")
    if entry.get("blocked"):
        flags.append("a known placeholder")
    if entry.get("blank"):
        flags.append("blank")
    if same := entry.get("same_bytes_as"):
        others = ", ".join(f"{one['request_id']}-{one['index']}" for one in same[:3])
        flags.append(f"same bytes as {others}" + (" …" if len(same) > 3 else ""))
    return flags


def _kilobytes(count: object) -> str:
    return f"{max(count, 1000) / 1000:,.0f} kB" if isinstance(count, int) else "size unknown"
