"""A further machine joins with nothing but the broker and the store, by the page's own command; it goes, and comes back."""

import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nodewise.sdk import Client
from tests.acceptance import acceptance_pipelines as pipelines
from tests.support.documents import blocks
from tests.support.stack import RunningStack, clean_environment, key_of
from tests.support.waiting import wait_until

pytestmark = pytest.mark.stack


def command_of_the_page(**own: str) -> list[str]:
    """`nodewise agent` as docs/without-kubernetes.md shows it, with these values for its options."""
    (shown,) = [
        block for block in blocks("without-kubernetes.md", "sh") if block.startswith("nodewise agent")
    ]
    words = shlex.split(shown)[1:]
    for option, value in own.items():
        words[words.index(f"--{option}") + 1] = value
    return [sys.executable, "-m", "nodewise.sdk.cli", *words]


class Agent:
    """`nodewise agent` as a user starts it, without a database."""

    def __init__(self, stack: RunningStack, folder: Path) -> None:
        key = str(key_of(stack, "extra", folder.parent))
        self._command = [
            *command_of_the_page(name="extra", broker=stack.redis_url, store=stack.store_url, **{"key-file": key}),
            "--work-dir", str(folder), "--millicores", "1000", "--memory-mib", "512",
        ]  # fmt: skip
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, env=clean_environment())

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait(10)

    def stop(self) -> int:
        assert self._process is not None
        self._process.terminate()
        return self._process.wait(15)


@pytest.fixture
def small_stack(tmp_path: Path) -> Iterator[RunningStack]:
    """One of its own: the node that joins here stays on record, and others count nodes."""
    running = RunningStack(home=tmp_path / "home", agents=1)
    try:
        yield running.start()
    finally:
        running.stop()


def test_a_node_joins_goes_and_is_used_again(small_stack: RunningStack, tmp_path: Path) -> None:
    agent = Agent(small_stack, tmp_path / "work")
    with Client(small_stack.api_url) as client:

        def state() -> str | None:
            return next((n["state"] for n in client.nodes() if n["name"] == "extra"), None)

        run = client.submit(pipelines.elsewhere, folder=str(tmp_path))
        wait_until(lambda: run.tasks()[0]["reason_code"] == "unsatisfiable", 30, "it to be found impossible")
        agent.start()
        run.wait(timeout=60, progress=False)
        assert run.tasks()[0]["node"] == "extra"
        agent.kill()
        wait_until(lambda: state() == "GONE", 30, "its absence to be noticed")
        agent.start()
        wait_until(lambda: state() == "READY", 30, "its return to be noticed")
        client.submit(pipelines.elsewhere, folder=str(tmp_path)).wait(timeout=60, progress=False)
        assert agent.stop() == 0
        wait_until(lambda: state() == "GONE", 5, "its leave to be noticed at once")
