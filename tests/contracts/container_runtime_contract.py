"""What an agent takes for granted of a container runtime's command line.

The fake one is held to it in `test_container_runtime_contract.py`, and so is a real one where
`NODEWISE_TEST_CONTAINER_RUNTIME` names it.
"""

import os
import signal
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Thread

import psutil
import pytest

from nodewise.agent.containers import ContainerProcess, Containers, container_name
from nodewise.agent.processes import MARK
from nodewise.agent.runtime import Container, ContainerRuntime, ContainerState, last_line
from nodewise.agent.supervision import Limits, ProcessEnd, StopCause, Watchdog
from nodewise.core.model.ids import AttemptKey, RunId, TaskPath
from tests.support.container_runtimes import IMAGE, NO_IMAGE
from tests.support.waiting import wait_until

ROOMY = Limits(memory_mib=256)
HOLD = ("sh", "-c", "echo up; exec sleep 60")


@dataclass
class Bench:
    """A folder that containers see, and a label of its own."""

    runtime: ContainerRuntime
    folder: Path
    agent: str = field(default_factory=lambda: uuid.uuid4().hex)

    def __post_init__(self) -> None:
        self.containers = Containers(self.runtime, agent=self.agent)
        self.log = self.folder / "log.txt"
        self.watchdog = Watchdog(every_seconds=0.05)
        self.watchdog.start()

    def container(self, *command: str, args: tuple[str, ...] = (), **rest: object) -> Container:
        key = AttemptKey(run_id=RunId("run"), path=TaskPath(f"a.b[{uuid.uuid4().hex[:6]}]"), attempt=1)
        made = Container(
            name=container_name(key, self.folder), image=IMAGE, command=command, args=args,
            environment={MARK: str(self.folder)}, folders=(self.folder,), memory_mib=256, millicores=1000,
        )  # fmt: skip
        return replace(made, **rest)  # type: ignore[arg-type]

    def start(self, container: Container, limits: Limits = ROOMY) -> ContainerProcess:
        env = {**os.environ, MARK: str(self.folder)}
        process = self.containers.run(container, env=env, cwd=self.folder, log=self.log, limits=limits)
        self.watchdog.watch(process)
        return process

    def run(self, container: Container, limits: Limits = ROOMY) -> ProcessEnd:
        process = self.start(container, limits)
        try:
            return process.wait()
        finally:
            self.watchdog.unwatch(process)
            self.containers.forget(container.name)

    def said(self) -> str:
        return self.log.read_text()

    def close(self) -> None:
        self.watchdog.stop()
        left = self.runtime.named("nodewise.agent", self.agent)
        for name in left:
            self.runtime.remove(name)
        assert left == []


class ContainerRuntimeContract:
    @pytest.fixture
    def command(self) -> Iterator[str]:
        """The runtime's name or path."""
        raise NotImplementedError

    @pytest.fixture
    def bench(self, command: str, tmp_path: Path) -> Iterator[Bench]:
        # A comma is what a mount's options are divided by.
        folder = tmp_path / "folder, of the attempt"
        folder.mkdir()
        bench = Bench(ContainerRuntime.connect(command), folder)
        yield bench
        bench.close()

    def test_it_tells_how_a_command_ended_and_what_it_said(self, bench: Bench) -> None:
        end = bench.run(bench.container("sh", "-c", "echo to stdout; echo to stderr >&2; exit 7"))
        assert (end.exit_code, end.stopped, end.lost, end.trouble) == (7, None, False, None)
        assert sorted(bench.said().splitlines()) == ["to stderr", "to stdout"]

    def test_a_container_is_gone_after_its_end(self, bench: Bench) -> None:
        container = bench.container("true")
        assert bench.run(container).exit_code == 0
        assert bench.runtime.state(container.name) is None

    def test_its_files_stand_at_the_same_path_and_belong_to_us(self, bench: Bench) -> None:
        (bench.folder / "in.txt").write_text("in")
        bench.run(
            bench.container("sh", "-c", 'cd "$1"; cat in.txt > out.txt', args=("sh", str(bench.folder)))
        )
        out = bench.folder / "out.txt"
        assert (out.read_text(), out.stat().st_uid) == ("in", os.getuid())

    def test_words_and_variables_arrive_as_they_are(self, bench: Bench) -> None:
        odd = " two  spaces, $HOME 'quoted' \"twice\"\nnext line "
        program = "import os, sys; print([*sys.argv[1:], os.environ['ODD']])"
        variables = {"ODD": odd, MARK: str(bench.folder)}
        bench.run(bench.container("python3", "-c", program, args=("--flag", odd, ""), environment=variables))
        assert bench.said() == f"{['--flag', odd, '', odd]!r}\n"

    @pytest.mark.parametrize(
        "value",
        ["", " ends and begins ", "# a = 'b' \"c\" $HOME \\n", "-----BEGIN-----\nsecret\n", "\r\n\ttabs", "l" * 70_000, "ü\udcff"],
    )  # fmt: skip
    @pytest.mark.parametrize("name", ["ODD", "HTTP_PROXY"])
    def test_a_variable_arrives_as_it_is(self, bench: Bench, name: str, value: str) -> None:
        program = (
            f"import os; open({str(bench.folder / 'got')!r}, 'wb').write(os.environb[{name.encode()!r}])"
        )
        bench.run(
            bench.container("python3", "-c", program, environment={name: value, MARK: str(bench.folder)})
        )
        assert (bench.folder / "got").read_bytes() == os.fsencode(value)

    def test_variables_stand_in_no_argument_and_mean_nothing_to_the_client(self, bench: Bench) -> None:
        variables = {
            "TOKEN": "s3cret",
            "PEM": "-----BEGIN\ns3cret\n",
            "DOCKER_HOST": "tcp://s3cret.invalid:1",
            "LD_PRELOAD": "/s3cret.so",
            MARK: str(bench.folder),
        }
        process = bench.start(bench.container(*HOLD, environment=variables))
        wait_until(lambda: "up" in bench.said(), 30, "the container")
        client = psutil.Process(process.pid)
        family = [client, *client.children(recursive=True)]
        assert not any("s3cret" in word for one in family for word in one.cmdline())
        assert not {"TOKEN", "LD_PRELOAD"} & client.environ().keys()
        assert client.environ().get("DOCKER_HOST") == os.environ.get("DOCKER_HOST")
        made = bench.folder / "environment"
        assert made.stat().st_mode & 0o777 == 0o600
        process.stop(StopCause.CANCELED, grace=0)
        process.wait()
        assert not made.exists()

    def test_without_a_command_the_arguments_go_to_the_image(self, bench: Bench) -> None:
        assert bench.run(bench.container(args=("sh", "-c", "echo from args"))).exit_code == 0
        assert bench.said() == "from args\n"

    def test_what_runs_there_sees_none_of_our_variables(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("REDIS_URL", "redis://secret")
        bench.run(bench.container("sh", "-c", "echo [$REDIS_URL]"))
        assert bench.said() == "[]\n"

    def test_a_command_that_is_not_there_is_told(self, bench: Bench) -> None:
        end = bench.run(bench.container("no-such-program"))
        assert (end.exit_code, end.lost) == (127, False)
        assert "no-such-program" in (end.trouble or "")

    def test_a_stop_ends_it_within_its_grace(self, bench: Bench) -> None:
        container = bench.container(*HOLD)
        process = bench.start(container)
        wait_until(lambda: "up" in bench.said(), 30, "the container")
        process.stop(StopCause.CANCELED, grace=1)
        end = process.wait()
        bench.containers.forget(container.name)
        # The first process of a real container ignores SIGTERM, unless it handles it.
        assert end.stopped is StopCause.CANCELED
        assert end.exit_code in (137, 143)

    def test_a_stop_before_it_is_there_leaves_nothing(self, bench: Bench) -> None:
        container = bench.container(*HOLD)
        process = bench.start(container)
        process.stop(StopCause.CANCELED, grace=0)
        end = process.wait()
        bench.containers.forget(container.name)
        assert end.exit_code != 0
        bench.containers.sweep()
        wait_until(lambda: bench.runtime.state(container.name) is None, 30, "its removal")

    def test_a_timeout_ends_it(self, bench: Bench) -> None:
        end = bench.run(bench.container(*HOLD), Limits(memory_mib=256, seconds=2))
        assert (end.stopped, end.exit_code) == (StopCause.TIMEOUT, 137)

    def test_it_is_held_to_its_memory(self, bench: Bench) -> None:
        program = "held = bytearray(400 << 20); import time; time.sleep(60)"
        # The runtime is to do it, not our watchdog.
        end = bench.run(bench.container("python3", "-c", program, memory_mib=64), Limits(memory_mib=4096))
        assert (end.exit_code, end.out_of_memory) == (137, True)

    def test_its_memory_is_measured(self, bench: Bench) -> None:
        program = "held = bytearray(100 << 20); import time; time.sleep(2)"
        end = bench.run(bench.container("python3", "-c", program))
        assert 100 <= (end.peak_memory_mib or 0) < 200

    def test_two_cannot_have_one_name(self, bench: Bench) -> None:
        container = bench.container(*HOLD)
        first = bench.start(container)
        wait_until(lambda: "up" in bench.said(), 30, "the container")
        again = subprocess.run(
            bench.runtime.run_words(container, []), check=False, capture_output=True, text=True
        )
        assert again.returncode == 125
        assert container.name in again.stderr
        first.stop(StopCause.CANCELED, grace=0)
        first.wait()
        bench.containers.forget(container.name)

    def test_what_cannot_be_made_is_the_nodes_trouble(self, bench: Bench) -> None:
        end = bench.run(bench.container("true", folders=(bench.folder / "nothing",)))
        assert (end.lost, end.exit_code) == (True, 125)
        assert "source path does not exist" in last_line(bench.said())

    def test_a_container_outlives_its_client_and_the_sweep_ends_it(self, bench: Bench) -> None:
        container = bench.container(*HOLD)
        client = subprocess.Popen(
            bench.runtime.run_words(replace(container, labels={"nodewise.agent": bench.agent}), []),
            stdout=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        state = wait_until(lambda: running(bench, container.name), 30, "the container")
        client.send_signal(signal.SIGKILL)
        client.wait()
        assert client.stdout is not None
        client.stdout.close()
        assert bench.runtime.state(container.name) == state
        Containers(bench.runtime, agent="another").sweep()
        assert bench.runtime.state(container.name) == state

        bench.containers.sweep()

        assert bench.runtime.state(container.name) is None
        wait_until(lambda: not psutil.pid_exists(state.pid), 10, "the end of its process")

    def test_a_sweep_leaves_what_is_known(self, bench: Bench) -> None:
        container = bench.container(*HOLD)
        process = bench.start(container)
        wait_until(lambda: running(bench, container.name), 30, "the container")
        bench.containers.sweep()
        assert running(bench, container.name)
        waiting = Thread(target=process.wait)
        waiting.start()
        process.stop(StopCause.CANCELED, grace=0)
        waiting.join(30)
        bench.containers.forget(container.name)

    def test_images_that_are_not_there_are_told(self, bench: Bench) -> None:
        assert bench.runtime.answers()
        assert bench.runtime.has_image(IMAGE)
        assert not bench.runtime.has_image(NO_IMAGE)
        pull = subprocess.run(bench.runtime.pull_words(NO_IMAGE), check=False, capture_output=True, text=True)
        assert pull.returncode != 0
        assert "registry.invalid" in last_line(pull.stderr)


def running(bench: Bench, name: str) -> ContainerState | None:
    state = bench.runtime.state(name)
    return state if state is not None and state.running else None
