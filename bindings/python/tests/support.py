"""What several tests need."""

from __future__ import annotations

import fcntl
import importlib.util
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Callable

if TYPE_CHECKING:
    from typing_extensions import Self

    from inlong_dataproxy.testing import MockCluster

PACKAGE = Path(__file__).resolve().parent.parent
CHECKOUT = PACKAGE.parent.parent
GROUP = "test_group"
STREAM = "test_stream"


def rounds(few: int, ways: int = 1) -> int:
    """Return how often a scenario of the host's life is played in each of some ways: few times, or ROUNDS in all if that is set."""
    return -(-int(os.environ.get("ROUNDS") or few * ways) // ways)


LONG = 120 + int(os.environ.get("ROUNDS") or 0)
"""Seconds for a test of so many rounds."""


def wait_until(condition: Callable[[], bool], what: str, seconds: float = 10) -> None:
    """Return as soon as condition holds; fail when it does not in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.002)


@contextmanager
def building() -> Iterator[None]:
    """Hold the folder that the package is built in, which the processes of the tests share."""
    with (CHECKOUT / "build" / "python-package.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def silence(cluster: MockCluster, nodes: int = 3) -> None:
    """Have the nodes take messages and answer nothing more."""
    for node in range(nodes):
        cluster.fault(node, "silence", standing=True)


def run_python(
    script: str,
    *arguments: str,
    seconds: float = 60,
    check: bool = True,
    variables: dict[str, str] | None = None,
    python: str = sys.executable,
) -> subprocess.CompletedProcess[str]:
    """Run a script in a process of its own that finds the package that this one has; end it when it hangs."""
    package = importlib.util.find_spec("inlong_dataproxy")  # of the checkout, or of a wheel that is tried
    assert package is not None
    assert package.origin is not None
    environment = {**os.environ, "PYTHONPATH": str(Path(package.origin).parent.parent), **(variables or {})}
    done = subprocess.run(
        [python, "-X", "faulthandler", "-c", script, *arguments],
        cwd="/",  # the first place where a script looks for packages
        env=environment,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    if check and done.returncode != 0:
        raise AssertionError(f"exit status {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done


@contextmanager
def running(script: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a script that is killed in the end; its children end with its standard input."""
    process = subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        env={"PYTHONPATH": str(PACKAGE), "PYTHONWARNINGS": "ignore"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        process.stdout.close()


@contextmanager
def interrupt(when: Callable[[], bool]) -> Iterator[Callable[[], float]]:
    """Press Ctrl-C once when holds. Yields what tells the seconds since then."""
    pressed: list[float] = []

    def press() -> None:
        wait_until(when, "the moment for Ctrl-C")
        pressed.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=press)
    thread.start()
    try:
        yield lambda: time.monotonic() - pressed[0]
    finally:
        thread.join()


class Opcodes:
    """Raises KeyboardInterrupt before one of the opcodes of some functions, as a signal may.

    Attributes:
        hit: whether it did; not where there are fewer.
    """

    def __init__(self, functions: Iterable[Any], number: int) -> None:
        self._codes = {function.__code__ for function in functions}
        self._left = number
        self.hit = False

    def __enter__(self) -> Self:
        self._before = sys.gettrace()
        sys.settrace(self._call)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(self._before)

    def _call(self, frame: FrameType, _event: str, _arg: object) -> Any:
        if frame.f_code not in self._codes:
            return None
        frame.f_trace_lines, frame.f_trace_opcodes = False, True
        return self._opcode

    def _opcode(self, _frame: FrameType, event: str, _arg: object) -> Any:
        if event == "opcode":
            if self._left == 0:
                self.hit = True
                raise KeyboardInterrupt
            self._left -= 1
        return self._opcode
