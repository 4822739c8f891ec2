"""Memory of a send_many does not grow with its input: INLONG_TEST_LINES=10000000 for the long way."""

from __future__ import annotations

import json
import os
import subprocess
from statistics import median

import pytest
from support import CHECKOUT, run_python

LINES = int(os.environ.get("INLONG_TEST_LINES") or 3_000_000)
LOOKS = 20
# Of the second half of the lines over the first, in the middle of each. The window that waits for acks is 14 MiB of such
# lines, full or empty as the machine has it, and doubled until Go's collector looks; ten bytes kept for each of ten million
# lines are more.
GROWTH_MIB = 32
WHOLE_MIB = 160  # of the process, the interpreter and its modules included

SHIP = """
import json, sys
from inlong_dataproxy import Client

url, lines, looks = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
resident = []

def look():
    with open("/proc/self/statm") as file:
        resident.append(int(file.read().split()[1]) * 4096)

def generate():
    line = b"a line of a log, as long as many are, with a time, a level, a host and a text of one hundred bytes %08d\\n"
    step = lines // looks
    for n in range(lines):
        if n % step == step - 1:
            look()
        yield line % n

with Client(url, group_id="test_group") as client:
    report = client.send_many(generate(), "s")
print(json.dumps([report.acked, resident]))
"""


@pytest.mark.timeout(120 + LINES // 50_000)
def test_memory_of_a_long_send_many_is_flat(summary: list[str]) -> None:
    # Something is kept for each message: chunks, results, runs of acks.
    command = [str(CHECKOUT / "build" / "bin" / "inlong-dataproxy"), "mock", "--until-eof", "--no-record"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as mock:
        assert mock.stdin is not None
        assert mock.stdout is not None
        url = mock.stdout.readline().strip()
        done = run_python(SHIP, url, str(LINES), str(LOOKS), seconds=100 + LINES // 50_000)
        mock.stdin.close()
    acked, resident = json.loads(done.stdout)
    assert acked == LINES
    assert len(resident) == LOOKS
    mebibytes = [one / (1 << 20) for one in resident]
    # What waits for its ack rises and falls with the machine's mood, hence the middle of each half.
    first, second = median(mebibytes[: LOOKS // 2]), median(mebibytes[LOOKS // 2 :])
    most = max(mebibytes)
    summary.append(
        f"send_many of {LINES:,} lines: {min(mebibytes):.0f} to {most:.0f} MiB resident, second half {second - first:+.1f}"
    )
    assert second < first + GROWTH_MIB
    assert most < WHOLE_MIB
