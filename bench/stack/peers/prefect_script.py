"""Runs in .venv-peers: `prefect_script.py COUNT PORT POLL_SECONDS`: milliseconds from the asking for a run until its flow runs.

A local server and the runner of a served flow, one run at a time, at changing distances: a runner asks at even ones. POLL_SECONDS
is how often; 0: as Prefect does by itself.
"""

import importlib.metadata
import json
import os
import random
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

COUNT, PORT, POLL = int(sys.argv[1]), sys.argv[2], float(sys.argv[3])
HERE = Path(__file__).parent
os.environ |= {
    "PREFECT_API_URL": f"http://127.0.0.1:{PORT}/api",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_LOGGING_LEVEL": "ERROR",
    "DO_NOT_TRACK": "1",
}
if POLL:
    os.environ["PREFECT_RUNNER_POLL_FREQUENCY"] = str(int(POLL))


def wait(predicate: Callable[[], bool], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not predicate():
        if time.monotonic() > deadline:
            sys.exit(f"waited {seconds:g} s in vain for {what}")
        time.sleep(0.005)


def healthy() -> bool:
    time.sleep(0.2)
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/api/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def measured() -> list[float]:
    from prefect.deployments import run_deployment  # noqa: PLC0415 - it reads the environment
    from prefect.exceptions import ObjectNotFound  # noqa: PLC0415

    def asked(file: Path) -> float:
        sent = time.time()
        run_deployment("note/bench", parameters={"file": str(file)}, timeout=0, as_subflow=False)
        wait(file.exists, 120, f"the run of {file.name}")
        return 1000 * (float(file.read_text()) - sent)

    def deployed() -> bool:
        time.sleep(0.5)
        try:
            asked(Path.cwd() / f"warm-up-{POLL}")
        except ObjectNotFound:
            return False
        return True

    wait(deployed, 120, "the deployment")
    rng, found = random.Random(1), []
    for number in range(COUNT):
        time.sleep(rng.random() * (POLL or 1.0))
        found.append(asked(Path.cwd() / f"at-{POLL}-{number}"))
    return found


def begin(*arguments: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-W", "ignore", *arguments], stdout=subprocess.DEVNULL)


processes = [begin("-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", PORT, "--no-ui")]
try:
    wait(healthy, 120, "the server")
    processes.append(begin(str(HERE / "prefect_flow.py"), "serve"))
    figures = {"started_ms": measured()}
finally:
    for process in reversed(processes):
        process.terminate()
    for process in reversed(processes):
        process.wait(30)
versions = {name: importlib.metadata.version(name) for name in ("prefect", "fastapi")}
print(json.dumps({"figures": figures, "versions": versions}))
