# SPDX-License-Identifier: Apache-2.0
"""One HTML page that holds the pictures of a manifest: nothing to load, nothing to run, all of it escaped."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
STYLE = """
:root { color-scheme: light dark;
  --page: #f7f6f3; --card: #fff; --ink: #1d1c1a; --faint: #6b6862; --line: #e2dfd8 }
@media (prefers-color-scheme: dark) {
  :root { --page: #171615; --card: #211f1e; --ink: #ecebe8; --faint: #a19d96; --line: #383532 }
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
"""


def contact_sheet(manifest: Sequence[Mapping[str, Any]], prompts: Mapping[str, str], subtitle: str) -> str:
    """
    Lay the pictures out.

    :param manifest: XCom ``manifest`` of the save operator; its URIs are files of this machine.
    :param prompts: by request id.
    :param subtitle: what to say under the title.
    """
    figures = "\n".join(_figure(entry, prompts.get(str(entry["request_id"]), "")) for entry in manifest)
    title = f"{len(manifest)} pictures"
    return f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<title>{escape(title)}</title>
<style>{STYLE}</style>
<header><h1>{escape(title)}</h1><p>{escape(subtitle)}</p></header>
<main>
{figures}
</main>
</html>
"""


def _figure(entry: Mapping[str, Any], prompt: str) -> str:
    content = local_path(entry["uri"]).read_bytes()
    source = f"data:{entry['content_type']};base64,{b64encode(content).decode()}"
    facts = {
        "Request": f"{entry['request_id']}, picture {entry['index']}",
        "Size": f"{entry['width']} × {entry['height']}, {entry['bytes'] / 1000:.0f} kB",
        "SHA-256": f"{entry['sha256'][:12]}…",
        "File": local_path(entry["uri"]).name,
    }
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(fact)}</dd>" for name, fact in facts.items())
    size = f'width="{int(entry["width"])}" height="{int(entry["height"])}"'
    return (
        f'<figure><img src="{escape(source)}" alt="{escape(prompt)}" {size}>'
        f"<figcaption><p>{escape(prompt)}</p><dl>{rows}</dl></figcaption></figure>"
    )


def local_path(uri: str) -> Path:
    """The file that a ``file://`` URI names."""
    return Path(unquote(urlsplit(uri).path))
