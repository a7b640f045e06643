"""`python -m nodewise.monitor` as a process: starts though all its servers are away, ends when told."""

import os
import signal
import subprocess
import sys

import httpx

from nodewise.stack.ports import choose_ports
from tests.support.waiting import wait_until


def answers(url: str) -> bool:
    try:
        return httpx.get(url).status_code == 200
    except httpx.TransportError:
        return False


def test_it_serves_without_its_servers_and_ends_cleanly() -> None:
    port = choose_ports(["http"], {})["http"]
    away = {"DATABASE_URL": "postgresql://n@127.0.0.1:1/n", "REDIS_URL": "redis://127.0.0.1:1/0"}
    environment = {**os.environ, **away, "NODEWISE_PORT": str(port), "PROMETHEUS_URL": "http://127.0.0.1:1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "nodewise.monitor"], env=environment, stderr=subprocess.PIPE
    )
    try:
        wait_until(lambda: answers(f"http://127.0.0.1:{port}/healthz"), 30, "the monitor to answer")
        wait_until(
            lambda: httpx.get(f"http://127.0.0.1:{port}/v1/cluster").json()["looked_at"], 10, "the first look"
        )
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        process.kill()
        _, logged = process.communicate()
    assert b"Traceback" not in logged
    assert all(line.startswith(b"{") for line in logged.splitlines())
