"""Runs in .venv-peers: `celery_script.py BROKER_URL WORKERS starting|chains COUNT [LENGTH]`, with workers of its own.

starting: milliseconds from the sending of a message until its task runs, and until the sender has the answer, one by one.
chains: seconds until COUNT chains of LENGTH tasks, sent at once, have ended.
"""

import importlib.metadata
import json
import os
import subprocess
import sys
import time
from pathlib import Path

BROKER_URL, WORKERS, WHAT, *NUMBERS = sys.argv[1:]
os.environ["BROKER_URL"] = BROKER_URL
HERE = Path(__file__).parent
WARM_UP = 5

import celery_app  # noqa: E402 - it reads the broker's address
from celery import chain  # noqa: E402


def starting(count: int) -> dict[str, list[float]]:
    """One task at a time, a pause between: the workers are idle."""
    started, answered = [], []
    for _ in range(WARM_UP + count):
        time.sleep(0.05)
        sent = time.time()
        began = celery_app.now.delay().get(timeout=30)
        answered.append(1000 * (time.time() - sent))
        started.append(1000 * (began - sent))
    return {"started_ms": started[WARM_UP:], "answered_ms": answered[WARM_UP:]}


def chains(count: int, length: int) -> dict[str, float]:
    """All at once."""

    def seconds(number: int) -> float:
        start = time.perf_counter()
        steps = [celery_app.same.s(), *[celery_app.same.s() for _ in range(length - 1)]]
        sent = [chain(steps[0].clone(args=(n,)), *steps[1:]).apply_async() for n in range(number)]
        found = [one.get(timeout=120) for one in sent]
        if found != list(range(number)):
            sys.exit(f"chains gave {found}")
        return time.perf_counter() - start

    seconds(WARM_UP)
    return {"seconds": seconds(count)}


command = [sys.executable, "-m", "celery", "-A", "celery_app", "worker", "-c", WORKERS, "--loglevel", "ERROR",
           "--without-gossip", "--without-mingle", "--without-heartbeat"]  # fmt: skip
worker = subprocess.Popen(command, cwd=HERE, stdout=subprocess.DEVNULL)
try:
    celery_app.now.delay().get(timeout=60)
    figures = {"starting": starting, "chains": chains}[WHAT](*map(int, NUMBERS))
finally:
    worker.terminate()
    worker.wait(30)
print(json.dumps({"figures": figures, "versions": {"celery": importlib.metadata.version("celery")}}))
