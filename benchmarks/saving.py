# SPDX-License-Identifier: Apache-2.0
"""How fast pictures are saved, and in how much memory, against a bare loop that checks nothing.

Ours is what the operator does with links that are ready: look at the destination, download, check, hash,
save, write the manifest. The peer streams with aiohttp to the same place, as many at a time: straight into
the files for ``file://``, into temporary files that boto3 uploads for ``s3://``. On a disk the time counts
until all is there and no longer only in the machine's memory. Without a disk (tmpfs) and from a host that is
no network away, what is left is CPU time, and the peer needs next to none: that row, which has no target,
tells what sha256 and checks cost.

    python benchmarks/saving.py --rounds 5
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from common import Figures, child, fresh, in_turn, median, ratio, table
from hosts import BUCKET, pictures, running, s3_client, s3_environment
from savers import measure

SIZES = [(1000, 1_000_000), (20, 50_000_000)]
SMOKE = [(6, 200_000)]
KINDS = 4
"""Different pictures of a size."""
TARGET = "≥ 0.8"
MEMORY = Path("/dev/shm")
HEADER = [
    "what",
    "ours, MB/s",
    "bare loop, MB/s",
    "ours / bare",
    "target",
    "CPU, ours / bare",
    "ours, MB over idle",
    "bare loop, MB over idle",
]


def main() -> None:
    """Run both ways in turn, to every place, and print the table."""
    if child(measure):
        return
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--parallel", type=int, default=4, help="pictures at a time")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()), help="on a real disk")
    parser.add_argument("--to", nargs="+", default=["disk", "memory", "s3"], choices=["disk", "memory", "s3"])
    parser.add_argument("--smoke", action="store_true", help="tiny sizes, to see that it runs")
    options = parser.parse_args()
    rounds, sizes = (1, SMOKE) if options.smoke else (options.rounds, SIZES)
    rows = []
    with (
        tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as name,
        running("files", name) as host,
        running("s3") as s3,
    ):
        for count, size in sizes:
            names = pictures(Path(name), size, KINDS)
            links = [f"{host}/{names[number % KINDS]}" for number in range(count)]
            megabytes = sum(Path(name, link.rpartition("/")[2]).stat().st_size for link in links) / 1e6
            for to in options.to:
                run = partial(saved, links, to, s3, options.folder, options.parallel)
                found = in_turn({way: partial(run, way) for way in ("ours", "bare")}, rounds)
                rows.append(row(f"{count:,} × {size / 1e6:g} MB", to, options.folder, megabytes, found))
    print(table(HEADER, rows))


def row(
    what: str, to: str, folder: Path, megabytes: float, found: Sequence[dict[str, Figures]]
) -> list[object]:
    """Make a row of the table from the rounds."""
    places = {
        "disk": f"`file://` on {file_system(folder)}, until it is there",
        "memory": "`file://` on tmpfs",
        "s3": "`s3://` on localhost",
    }
    return [
        f"{what} to {places[to]}",
        *(megabytes / median(found, way, "seconds") for way in ("ours", "bare")),
        f"{ratio(found, 'bare', 'ours', 'seconds'):.2f}",
        "-" if to == "memory" else TARGET,
        f"{ratio(found, 'ours', 'bare', 'cpu'):.2f}",
        *(f"{median(found, way, 'grown'):.0f}" for way in ("ours", "bare")),
    ]


def saved(links: list[str], to: str, s3: str, disk: Path, parallel: int, way: str) -> Figures:
    """Save in a fresh process into an empty place, and see that all is there."""
    with tempfile.TemporaryDirectory(dir=MEMORY if to == "memory" else disk) as name:
        folder = Path(name, "target")
        environment = {"TMPDIR": name, **s3_environment(s3)}
        arguments = {"way": way, "links": links, "parallel": parallel, "s3": "", "sync": to == "disk"}
        if to == "s3":
            count = empty_bucket(s3)
            figures = fresh(__file__, {**arguments, "place": f"s3://{BUCKET}", "s3": s3}, environment)
        else:
            count = partial(files, folder)
            figures = fresh(__file__, {**arguments, "place": f"file://{folder}"}, environment)
        assert count() == len(links)
        shutil.rmtree(folder, ignore_errors=True)
        return figures


def files(folder: Path) -> int:
    """Count the pictures in a folder, and what should not be there."""
    return sum(path.name not in ("manifest.json", ".manifest") for path in (folder / "pictures").iterdir())


def empty_bucket(s3: str) -> Callable[[], int]:
    """Make the server forget everything but an empty bucket; gives what counts the pictures in it."""
    import requests

    requests.post(f"{s3}/moto-api/reset", timeout=60).raise_for_status()
    client = s3_client(s3)
    client.create_bucket(Bucket=BUCKET)

    def count() -> int:
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix="pictures/")
        return sum(not item["Key"].endswith(".json") for page in pages for item in page["Contents"])

    return count


def file_system(folder: Path) -> str:
    """Name what a folder lies on (Linux)."""
    mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines()]
    return max(
        (mount for mount in mounts if folder.is_relative_to(mount[0])), key=lambda mount: len(mount[0])
    )[1]


if __name__ == "__main__":
    main()
