"""What probes are told, from the last look of every loop."""

import json
import subprocess
import sys
import time
from collections.abc import Mapping
from datetime import timedelta
from urllib.request import urlopen
from wsgiref.util import setup_testing_defaults

import pytest
from sqlalchemy.exc import OperationalError

from nodewise.core import healthcheck as healthcheck_module
from nodewise.core.liveness import STUCK_SECONDS, Look, hanging, last_looks, unready
from nodewise.core.messaging.loop import WakeLoop
from nodewise.core.settings import Settings
from nodewise.core.telemetry import operations_app, serve_metrics
from nodewise.stack.ports import choose_ports
from tests.support.waiting import wait_until

NOW = 1_000_000.0
FRESH, STALE = Look(at=NOW - 1, well=True), Look(at=NOW - STUCK_SECONDS - 1, well=True)
FAILED, NONE_YET = Look(at=NOW - 1, well=False), Look(at=0, well=False)


@pytest.mark.parametrize(
    ("looks", "hangs", "not_ready"),
    [
        ({"a": FRESH, "b": FRESH}, None, None),
        ({}, None, "no loop has begun"),
        ({"a": NONE_YET}, None, "the loop a has not looked yet"),
        ({"a": FRESH, "b": FAILED}, None, "the last look of the loop b failed"),
        ({"a": STALE}, "the loop a has not come round for 121 s", "the loop a has not come round for 121 s"),
    ],
)
def test_servers_that_are_away_make_a_process_unready_and_only_a_hanging_loop_makes_it_ill(
    looks: Mapping[str, Look], hangs: str | None, not_ready: str | None
) -> None:
    assert hanging(looks, now=NOW) == hangs
    assert unready(looks, now=NOW) == not_ready


def test_a_loop_says_how_its_looks_went() -> None:
    results: list[Exception | None] = [None, OperationalError("SELECT 1", {}, OSError("gone"))]

    def cycle() -> bool:
        outcome = results.pop() if results else None
        if outcome is not None:
            raise outcome
        return False

    loop = WakeLoop("told", cycle, timedelta(milliseconds=20))
    loop.start()
    wait_until(lambda: last_looks()["told"].at and not last_looks()["told"].well, 5, "the look that failed")
    wait_until(lambda: last_looks()["told"].well, 5, "the look after it")
    loop.stop()


def ask(path: str) -> tuple[str, bytes]:
    environ = {"PATH_INFO": path}
    setup_testing_defaults(environ)
    told: list[str] = []
    body = operations_app()(environ, lambda status, headers, *_: told.append(status))  # type: ignore[arg-type,func-returns-value]
    return told[0], b"".join(body)


def test_probes_are_answered_beside_the_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nodewise.core.liveness.last_looks", lambda: {"a": NONE_YET})
    assert ask("/healthz") == ("200 OK", b'{"status": "ok"}')
    status, body = ask("/readyz")
    assert status.startswith("503 ")
    assert json.loads(body)["detail"] == "the loop a has not looked yet"
    assert b"nodewise_loop_last_look_timestamp_seconds" in ask("/metrics")[1]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_process_serves_them_where_its_settings_say(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Loops of other tests have come round in this process, and ended.
    monkeypatch.setattr("nodewise.core.liveness.last_looks", lambda: {"a": Look(at=time.time(), well=True)})
    (port,) = choose_ports(("it",), {}, hosts={"it": "127.0.0.1"}).values()
    serve_metrics(Settings(host=host, metrics_port=port))
    with urlopen(f"http://{f'[{host}]' if ':' in host else host}:{port}/healthz") as answer:
        assert json.load(answer) == {"status": "ok"}


def healthcheck(port: int) -> "subprocess.CompletedProcess[str]":
    """As the images run it: a file, without any package."""
    command = [sys.executable, "-I", "-S", healthcheck_module.__file__]
    env = {"NODEWISE_METRICS_PORT": str(port)}
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=60)


def test_the_health_check_of_the_images_says_what_the_process_says(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: dict[str, Look] = {"a": NONE_YET}
    monkeypatch.setattr("nodewise.core.liveness.last_looks", lambda: looks)
    (port,) = choose_ports(("it",), {}, hosts={"it": "127.0.0.1"}).values()
    serve_metrics(Settings(metrics_port=port))
    asked = healthcheck(port)
    assert (asked.returncode, "the loop a has not looked yet" in asked.stdout) == (1, True)
    looks["a"] = Look(at=time.time(), well=True)
    asked = healthcheck(port)
    assert (asked.returncode, asked.stdout) == (0, 'HTTP/1.0 200 OK {"status": "ok"}\n')
    (closed,) = choose_ports(("it",), {}, hosts={"it": "127.0.0.1"}).values()
    asked = healthcheck(closed)
    assert (asked.returncode, asked.stdout.startswith(f"no answer on port {closed}")) == (1, True)
