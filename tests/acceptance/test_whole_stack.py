"""The real stack, detached as a user starts it."""

import json
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from tests.support.stack import HEADERS, RunningStack, alive, run_command
from tests.support.waiting import wait_until

pytestmark = pytest.mark.stack


def node_states(stack: RunningStack) -> dict[str, str]:
    asked = Request(f"{stack.api_url}/v1/nodes", headers=HEADERS)
    with urlopen(asked, timeout=5) as answer:
        return {node["name"]: node["state"] for node in json.load(answer)["items"]}


def healthy(stack: RunningStack) -> bool:
    return run_command("doctor", "--home", str(stack.home)).returncode == 0


def test_a_detached_stack_is_ready_with_all_its_nodes(stack: RunningStack) -> None:
    assert node_states(stack) == {"n1": "READY", "n2": "READY", "n3": "READY", "n4": "READY"}
    assert all(alive(stack.state).values())
    assert healthy(stack)


def test_every_process_shows_its_metrics(stack: RunningStack) -> None:
    for name, process in stack.state.processes.items():
        if name not in ("postgres", "valkey"):
            with urlopen(f"http://127.0.0.1:{process.port}/metrics", timeout=5) as answer:
                assert b"python_info" in answer.read(), name


def test_whatever_is_killed_comes_back_and_a_stopped_stack_starts_again(tmp_path: Path) -> None:
    stack = RunningStack(home=tmp_path / "home", agents=1).start()
    try:
        before = {name: stack.kill(name) for name in stack.state.processes}
        for name, pid in before.items():
            stack.wait_restarted(name, pid)
        wait_until(lambda: healthy(stack), 30, "a healthy stack after all was killed", every=0.5)
        url = stack.api_url
        stack.stop()
        assert stack.leftovers() == []
        assert stack.start().api_url == url
    finally:
        stack.stop()
    assert stack.leftovers() == []
