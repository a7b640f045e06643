"""`python -m nodewise.api` as a process: starts, serves, ends when told, also in the middle of a stream."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from nodewise.core.settings import Settings
from nodewise.stack.ports import choose_ports
from tests.support.pipelines import compiled
from tests.support.waiting import wait_until


@contextmanager
def process_of(module: str, settings: Settings) -> Iterator[tuple["subprocess.Popen[bytes]", str]]:
    """The service as a process, and its base URL once it answers."""
    port = choose_ports(["http"], {})["http"]
    environment = {
        **os.environ,
        "DATABASE_URL": settings.database_url,
        "REDIS_URL": settings.redis_url,
        "NODEWISE_STORE_URL": settings.store_url,
        "NODEWISE_AUTH": settings.auth,
        "NODEWISE_PORT": str(port),
        "_KFP_RUNTIME": "true",
    }
    process = subprocess.Popen([sys.executable, "-m", module], env=environment, stderr=subprocess.PIPE)
    try:
        wait_until(lambda: answers(f"http://127.0.0.1:{port}/healthz"), 30, f"{module} to answer")
        yield process, f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.communicate()


def answers(url: str) -> bool:
    try:
        return httpx.get(url).status_code == 200
    except httpx.TransportError:
        return False


def test_sigterm_ends_the_process_cleanly_in_the_middle_of_a_stream(settings: Settings) -> None:
    with process_of("nodewise.api", settings) as (process, url):
        run = httpx.post(f"{url}/v1/runs", json={"pipeline_spec": compiled()}).json()
        with httpx.stream("GET", f"{url}/v1/runs/{run['id']}/events") as answer:
            lines = answer.iter_lines()
            assert next(lines).startswith("id: ")
            process.send_signal(signal.SIGTERM)
            list(lines)
        assert process.wait(5) == 0
        assert process.stderr is not None
        logged = process.stderr.read().decode()
        assert "Traceback" not in logged
        assert all(line.startswith("{") for line in logged.splitlines())
