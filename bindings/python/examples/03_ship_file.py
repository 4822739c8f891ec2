"""Ship a file line by line and account for every line.

Run: python 03_ship_file.py --url http://manager:8083 --group my_group --stream my_stream /var/log/dpkg.log

A progress bar goes to standard error, one line of JSON to standard output. The exit status is 1 when any line failed.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Callable

from inlong_dataproxy import Client, InlongError, Progress

try:
    from tqdm import tqdm
except ImportError:  # pip install inlong-dataproxy[cli] brings it
    tqdm = None  # type: ignore[assignment,misc]


class Lines:
    """The lines of a file without their newline; empty ones are skipped and counted."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.skipped = 0

    def __iter__(self) -> Iterator[bytes]:
        rest = b""
        for block in blocks(self._path):
            *lines, rest = (rest + block).split(b"\n")
            full = list(filter(None, lines))
            self.skipped += len(lines) - len(full)
            yield from full
        if rest:
            yield rest


def blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(1 << 18):
            yield block


def count_lines(path: Path) -> int:
    return sum(block.count(b"\n") for block in blocks(path))


def show_progress(total: int) -> tuple[Callable[[Progress], None], Callable[[], None]]:
    """Return what shows progress on standard error, and what ends it."""
    if tqdm is None:
        return lambda p: print(f"python: {p.acked + p.failed} of {total} lines", file=sys.stderr), lambda: None
    bar = tqdm(total=total, unit="line", desc="python", file=sys.stderr, mininterval=0.2)

    def update(p: Progress) -> None:
        bar.update(p.acked + p.failed - bar.n)

    return update, bar.close


def main() -> int:
    parser = argparse.ArgumentParser(description="Ship a file line by line to InLong DataProxy.")
    parser.add_argument("--url", required=True, help="the Manager, http://host:port")
    parser.add_argument("--group", required=True, help="InLong group")
    parser.add_argument("--stream", required=True, help="InLong stream")
    parser.add_argument("--auth", metavar="ID:KEY", default=os.environ.get("INLONG_BASIC_AUTH", ""), help="else INLONG_BASIC_AUTH")
    parser.add_argument("file", type=Path, metavar="FILE")
    arguments = parser.parse_args()

    lines = Lines(arguments.file)
    began, cpu_began = time.monotonic(), time.process_time()
    try:
        update, end = show_progress(count_lines(arguments.file))
        with Client(arguments.url, group_id=arguments.group, basic_auth=arguments.auth) as client:
            report = client.send_many(lines, stream_id=arguments.stream, progress=update)
        end()
    except (InlongError, OSError) as error:
        print(f"03_ship_file: {error}", file=sys.stderr)
        return 1
    for failure in report.failures[:10]:
        print(f"line {failure.index + 1} (empty ones not counted): {failure.error}", file=sys.stderr)
    summary = {
        "language": "python",
        "lines": report.taken,
        "acked": report.acked,
        "failed": report.failed,
        "skipped": lines.skipped,
        "seconds": round(time.monotonic() - began, 6),
        "cpu_seconds": round(time.process_time() - cpu_began, 6),
    }
    print(json.dumps(summary))
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main())
