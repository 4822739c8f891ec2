"""What CPython tests of its own futures holds for ours."""

from __future__ import annotations

import subprocess

import pytest
from pythons import Python, find
from support import run_python

SCRIPT = """
import sys, unittest
from inlong_dataproxy._results.future import DeliveryFuture, Guard
from inlong_dataproxy._sending.message import Model
try:
    from test.test_concurrent_futures import test_future as module, util
except ImportError:
    from test import test_concurrent_futures as module
    util = module

class Future(DeliveryFuture):
    def __init__(self):
        self.model = Model(Guard(), "", "s")

    def set_result(self, result):
        self.resolve(result)

    def set_exception(self, error):
        self.resolve(error)

def create_future(state="PENDING", exception=None, result=None):
    future = Future()
    if state == "FINISHED":
        future.resolve(exception or result)
    return future

module.Future = util.Future = Future
module.create_future = util.create_future = create_future
module.RUNNING_FUTURE = create_future()
module.PENDING_FUTURE = create_future()
module.EXCEPTION_FUTURE = create_future("FINISHED", OSError())
module.SUCCESSFUL_FUTURE = create_future("FINISHED", None, 42)
# Ours cannot be cancelled, is running from its birth, and gets its result once, by the library.
# One test writes into private attributes.
NOT_OURS = ("cancel", "repr", "running", "test_done", "multiple", "raises", "timeout", "test_exception_with_success")
OURS = ("test_done_callback_with_result", "test_done_callback_with_exception", "test_done_callback_already_successful",
        "test_done_callback_already_failed", "test_result_with_success")
names = [name for name in unittest.TestLoader().getTestCaseNames(module.FutureTests)
         if name in OURS or not any(part in name for part in NOT_OURS)]
assert set(OURS) <= set(names), names
outcome = unittest.TextTestRunner().run(unittest.TestSuite(map(module.FutureTests, names)))
sys.exit(not outcome.wasSuccessful())
"""


def has_tests(python: Python) -> bool:
    look = "import test.test_concurrent_futures"
    return subprocess.run([python.path, "-c", look], capture_output=True, check=False).returncode == 0


def test_cpythons_tests_of_futures_hold() -> None:
    pythons = [python for python in find() if has_tests(python)]
    if not pythons:
        pytest.skip("no Python here has its own tests with it")
    for python in pythons:
        run_python(SCRIPT, python=python.path)
