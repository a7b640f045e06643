"""A stack of a test's own, started the way a user starts it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nodewise.core.model.ids import NodeName
from nodewise.core.nodekeys import ClusterSecret, write_private
from nodewise.core.tokens import new_token
from nodewise.stack.keys import key_file, secret_file
from nodewise.stack.process import find, left_behind
from nodewise.stack.state import ProcessState, StackState, load_state
from tests.support.waiting import wait_until

API_KEY = new_token().text
"""The admin key of every stack that the tests start: `Client` and `nodewise` find it in the environment."""
HEADERS = {"Authorization": f"Bearer {API_KEY}"}
FAKE_PYTHON = Path(__file__).parent / "fake_python.py"
_COMMAND = "import typer; from nodewise.stack import commands; app = typer.Typer(); "


def run_command(
    name: str, *arguments: str, env: Mapping[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    """`nodewise up|down|doctor` in a process of its own."""
    code = f"{_COMMAND}app.command()(commands.{name}); app()"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=clean_environment(env),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def clean_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Ours, without servers or a home that whoever runs the tests has set, and with the key of their stacks."""
    left_out = ("DATABASE_URL", "REDIS_URL", "PROMETHEUS_URL")
    kept = {k: v for k, v in os.environ.items() if k not in left_out and not k.startswith("NODEWISE_")}
    return {**kept, "COLUMNS": "200", "NODEWISE_API_KEY": API_KEY, **(extra or {})}


@dataclass
class RunningStack:
    """The whole stack in `home`: real servers, services and agents, detached.

    Use `start()`, then the addresses; `stop()` at the end. `env` is added to the environment of all processes.
    """

    home: Path
    agents: int = 4
    placers: int = 1
    options: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict)

    def start(self) -> "RunningStack":
        self.home.mkdir(parents=True, exist_ok=True)
        if not key_file(self.home).exists():
            key_file(self.home).touch(mode=0o600)
            key_file(self.home).write_text(API_KEY)
        os.environ["NODEWISE_API_KEY"] = API_KEY
        numbers = ("--agents", str(self.agents), "--placers", str(self.placers))
        done = run_command("up", "--detach", "--home", str(self.home), *numbers, *self.options, env=self.env)
        assert done.returncode == 0, f"up failed: {done.stdout}{done.stderr}"
        return self

    def stop(self) -> None:
        done = run_command("down", "--home", str(self.home))
        assert done.returncode == 0, f"down failed: {done.stdout}{done.stderr}"

    @property
    def state(self) -> StackState:
        found = load_state(self.home)
        assert found is not None, f"no state in {self.home}"
        return found

    @property
    def api_url(self) -> str:
        return self.state.api_url

    @property
    def monitor_url(self) -> str:
        return self.state.monitor_url

    @property
    def database_url(self) -> str:
        return self.state.database_url

    @property
    def redis_url(self) -> str:
        return self.state.redis_url

    @property
    def store_url(self) -> str:
        return self.state.store_url

    def process(self, name: str) -> ProcessState:
        """A process by its name: postgres, valkey, api, monitor, recorder, scheduler, placer-1, agent-n1 ..."""
        return self.state.processes[name]

    def pid(self, name: str) -> int:
        return self.process(name).id.pid

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> int:
        """Send a signal to one process (and not to its children); returns its pid."""
        pid = self.pid(name)
        os.kill(pid, number)
        return pid

    def wait_restarted(self, name: str, old_pid: int, seconds: float = 20.0) -> int:
        """Wait until the supervisor has started `name` again; returns the new pid."""
        wait_until(lambda: self.pid(name) != old_pid, seconds, f"{name} to be started again")
        return self.pid(name)

    def log(self, name: str) -> str:
        return (self.home / "logs" / f"{name}.log").read_text(errors="replace")

    def leftovers(self) -> list[int]:
        """Pids of processes of this home that run still."""
        return [process.pid for process in left_behind(self.home)]


def key_of(stack: RunningStack, name: str, folder: Path) -> Path:
    """A file with the key of a node that a test brings itself."""
    file = folder / f"{name}.key"
    write_private(file, ClusterSecret.read(secret_file(stack.home)).node_key(NodeName(name)).text)
    return file


def fake_services(folder: Path) -> Path:
    """An interpreter for `launch.up` whose services are small fakes."""
    folder.mkdir(parents=True, exist_ok=True)
    script = folder / "fake-python"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -P "{FAKE_PYTHON}" "$@"\n')
    script.chmod(0o755)
    return script


class Foreground:
    """`up` in the foreground, in a process of its own, with fake services."""

    def __init__(
        self,
        home: Path,
        python: Path,
        *,
        agents: int = 1,
        env: Mapping[str, str] | None = None,
        **options: object,
    ) -> None:
        self.home = home
        self._output = home.parent / f"{home.name}.out"
        code = (
            "import json, sys, pathlib; from rich.console import Console; from nodewise.stack.launch import up; "
            "from nodewise.stack.plan import Options; from nodewise.stack.report import TerminalReporter; "
            "c = Console(soft_wrap=True); home, options, python = sys.argv[1:]; "
            "sys.exit(up(pathlib.Path(home), Options(**json.loads(options)), TerminalReporter(c, c), python=python))"
        )
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-c", code, str(home), json.dumps({"agents": agents, **options}), str(python)],
                env=clean_environment(env), stdout=output, stderr=subprocess.STDOUT,
            )  # fmt: skip

    @property
    def output(self) -> str:
        return self._output.read_text()

    def wait_ready(self) -> StackState:
        def ready() -> bool:
            assert self.process.poll() is None, f"up ended: {self.output}"
            return "is ready" in self.output

        wait_until(ready, 30, "up to be ready")
        state = load_state(self.home)
        assert state is not None
        return state

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(40)


def alive(state: StackState) -> dict[str, bool]:
    """Whether each process of that state still runs."""
    return {name: find(process.id) is not None for name, process in state.processes.items()}


def read_json(path: Path) -> dict[str, object]:
    loaded: dict[str, object] = json.loads(path.read_text())
    return loaded
