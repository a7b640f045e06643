"""A signal during the start is neither lost nor raised in the middle of something."""

import subprocess
import sys

import pytest

START = """
import os, signal, sys
from nodewise.agent.deferring import deferring

def leave(*_):
    print("leaving", flush=True)
    raise SystemExit(3)

"""
TAKEN_OVER = """
with deferring():
    os.kill(os.getpid(), signal.{name})
    print("going on", flush=True)
    signal.signal(signal.{name}, leave)
    while True:
        signal.pause()
"""
NEVER_TAKEN_OVER = """
signal.signal(signal.{name}, leave)
with deferring():
    os.kill(os.getpid(), signal.{name})
    print("going on", flush=True)
print("too far")
"""
NONE_CAME = """
with deferring():
    print("going on", flush=True)
signal.signal(signal.{name}, leave)
os.kill(os.getpid(), signal.{name})
signal.pause()
"""


@pytest.mark.parametrize("program", [TAKEN_OVER, NEVER_TAKEN_OVER, NONE_CAME])
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_waits_for_who_can_take_it(program: str, name: str) -> None:
    code = START + program.format(name=name)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout) == (3, "going on\nleaving\n"), done.stderr
