"""`nodewise up` and `down` with real servers and small fake services."""

import os
import re
import signal
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import psycopg
import pytest

from nodewise.core.settings import without_password
from nodewise.stack.health import problem
from nodewise.stack.hosts import public
from nodewise.stack.ports import bind
from nodewise.stack.probes import HttpProbe, PostgresProbe, RedisProbe
from nodewise.stack.process import left_behind
from nodewise.stack.state import Phase, StackState, load_state
from tests.support.stack import Foreground, alive, fake_services, run_command
from tests.support.waiting import wait_until

Start = Callable[..., Foreground]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def start(home: Path, tmp_path: Path) -> Iterator[Start]:
    started: list[Foreground] = []

    def start_one(**options: object) -> Foreground:
        started.append(Foreground(home, fake_services(tmp_path / "fake"), **options))  # type: ignore[arg-type]
        return started[-1]

    yield start_one
    for one in started:
        one.stop()
    run_command("down", "--home", str(home))
    assert left_behind(home) == []


def others_may_read(entry: Path) -> bool:
    return bool(entry.stat().st_mode & 0o077)


def restarted(home: Path, name: str, before: StackState) -> bool:
    state = load_state(home)
    return state is not None and state.processes[name].id != before.processes[name].id


def test_up_starts_all_and_ctrl_c_stops_all(start: Start, home: Path) -> None:
    up = start(agents=2)
    state = up.wait_ready()
    expected = {
        "postgres",
        "valkey",
        "api",
        "monitor",
        "recorder",
        "scheduler",
        "placer-1",
        "agent-n1",
        "agent-n2",
    }
    assert set(state.processes) == expected
    assert all(alive(state).values())
    assert state.phase is Phase.RUNNING
    assert [entry.name for entry in home.iterdir() if others_may_read(entry)] == ["supervisor.pid"]
    assert stat.S_IMODE(home.stat().st_mode) in {0o700, 0o711}
    for url in (state.database_url, state.redis_url):
        assert without_password(url) in up.output
        assert str(urlsplit(url).password) not in up.output
    assert f"{home / 'stack.json'}" in up.output
    assert state.api_url in up.output
    assert up.stop(signal.SIGINT) == 0
    assert not any(alive(state).values())
    assert left_behind(home) == []
    assert not (home / "supervisor.pid").exists()


def test_a_second_up_finds_its_data_and_its_ports(start: Start) -> None:
    up = start()
    first = up.wait_ready()
    with psycopg.connect(first.database_url) as connection:
        connection.execute("CREATE TABLE kept (n int)")
    up.stop()
    second = start().wait_ready()
    assert (second.api_url, second.database_url) == (first.api_url, first.database_url)
    with psycopg.connect(second.database_url) as connection:
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (0,)


@pytest.mark.parametrize("name", ["scheduler", "agent-n1", "postgres", "valkey"])
def test_what_dies_is_started_again(start: Start, home: Path, name: str) -> None:
    up = start()
    state = up.wait_ready()
    os.kill(state.processes[name].id.pid, signal.SIGKILL)
    wait_until(lambda: restarted(home, name, state), 10, f"{name} to be started again")
    wait_until(lambda: f"{name} was killed by signal 9; starting it again" in up.output, 5, "a line about it")
    wait_until(lambda: run_command("doctor", "--home", str(home)).returncode == 0, 10, "a healthy stack")


def test_kill_9_of_the_supervisor_leaves_nothing_and_up_recovers(start: Start, home: Path) -> None:
    up = start()
    state = up.wait_ready()
    up.process.kill()
    up.process.wait()
    wait_until(lambda: not any(alive(state).values()), 15, "all to end")
    assert (home / "supervisor.pid").exists()
    again = start().wait_ready()
    assert again.database_url == state.database_url


def test_down_after_kill_9_of_half_of_it_ends_the_rest(start: Start, home: Path) -> None:
    up = start()
    state = up.wait_ready()
    # Stopped processes do not hear that their supervisor died: what a hung one looks like.
    for name in ("api", "agent-n1"):
        os.kill(state.processes[name].id.pid, signal.SIGSTOP)
    up.process.kill()
    up.process.wait()
    assert run_command("down", "--home", str(home)).returncode == 0
    assert not any(alive(state).values())
    assert not (home / "supervisor.pid").exists()
    assert "nothing runs" in run_command("down", "--home", str(home)).stdout


def test_down_ends_a_process_that_a_dead_agent_left(start: Start, home: Path) -> None:
    up = start()
    up.wait_ready()
    task = subprocess.Popen(["sleep", "300"], env={"NODEWISE_STACK": str(home), "PATH": os.environ["PATH"]})
    try:
        assert run_command("down", "--home", str(home)).returncode == 0
        assert task.wait(5) == -signal.SIGTERM
    finally:
        task.kill()
        task.wait()


def test_down_does_not_touch_a_process_that_got_the_pid_of_one_of_ours(start: Start, home: Path) -> None:
    up = start()
    state = up.wait_ready()
    up.process.kill()
    up.process.wait()
    wait_until(lambda: not any(alive(state).values()), 15, "all to end")
    stranger = subprocess.Popen(["sleep", "300"])
    try:
        path = home / "stack.json"
        path.write_text(
            path.read_text().replace(f'"pid": {state.processes["api"].id.pid},', f'"pid": {stranger.pid},')
        )
        assert run_command("down", "--home", str(home)).returncode == 0
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_service_that_cannot_start_fails_the_whole_up_with_its_last_line(start: Start, home: Path) -> None:
    (home / "faults").mkdir(parents=True)
    (home / "faults" / "nodewise.scheduler").write_text("the sky fell down\n")
    up = start()
    assert up.process.wait(40) == 1
    assert "scheduler cannot start: it ended with exit code 3" in up.output
    assert "the sky fell down" in up.output
    assert "scheduler.log" in up.output
    state = load_state(home)
    assert state is not None
    assert state.phase is Phase.STOPPED


def test_a_second_up_in_the_same_home_is_refused(start: Start, home: Path) -> None:
    first = start()
    first.wait_ready()
    second = run_command("up", "--home", str(home))
    assert second.returncode == 1
    assert f"already running in {home} (pid {first.process.pid})" in second.stderr
    detached = run_command("up", "--detach", "--home", str(home))
    assert detached.returncode == 1
    assert "nodewise down" in detached.stderr
    assert first.process.poll() is None


@pytest.mark.parametrize("mode", [[], ["--detach"]])
def test_a_port_that_is_taken_is_one_clear_line(home: Path, mode: list[str]) -> None:
    with bind(0) as taken:
        taken.listen()
        port = taken.getsockname()[1]
        done = run_command("up", "--home", str(home), "--port", str(port), *mode)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert f"port {port} on 127.0.0.1 is taken" in done.stderr
    assert "--port" in done.stderr
    assert left_behind(home) == []


def test_a_home_that_is_a_file_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    done = run_command("up", "--home", str(tmp_path / "home"))
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: cannot write in {tmp_path / 'home'}")
    assert done.stderr.count("\n") == 1


def test_a_database_of_the_users_own_is_used(start: Start, empty_database_url: str, redis_url: str) -> None:
    up = start(env={"DATABASE_URL": empty_database_url, "REDIS_URL": redis_url})
    state = up.wait_ready()
    assert state.database_url == empty_database_url
    assert state.redis_url == redis_url
    assert {"postgres", "valkey"}.isdisjoint(state.processes)


def test_a_database_of_the_users_own_that_is_away_is_named(home: Path) -> None:
    done = run_command("up", "--home", str(home), env={"DATABASE_URL": "postgresql://127.0.0.1:1/none"})
    assert done.returncode == 1
    assert "DATABASE_URL is set, but Postgres does not answer there" in done.stderr


def test_children_do_not_hear_ctrl_c_in_the_terminal(start: Start) -> None:
    state = start().wait_ready()
    groups = {os.getpgid(process.id.pid) for process in state.processes.values()}
    assert os.getpgid(0) not in groups
    assert all(psutil.Process(p.id.pid).is_running() for p in state.processes.values())


@pytest.mark.parametrize("mode", [[], ["--detach"]])
def test_a_strategy_that_nobody_knows_starts_nothing(home: Path, mode: list[str]) -> None:
    done = run_command("up", "--home", str(home), "--strategy", "gredy", *mode)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "greedy" in done.stderr
    assert not home.exists()


def test_a_stack_bound_to_all_addresses_is_reached_from_outside_but_for_its_database(
    start: Start, home: Path, tmp_path: Path
) -> None:
    up = start(bind="0.0.0.0", store=(tmp_path / "elsewhere").as_uri())
    state = up.wait_ready()
    host = public("0.0.0.0")
    assert host not in ("0.0.0.0", "127.0.0.1")
    assert state.api_url.startswith(f"http://{host}:")
    assert f"@{host}:" in state.redis_url
    assert without_password(state.redis_url) in up.output
    assert problem(RedisProbe(state.redis_url)) is None
    assert problem(HttpProbe(f"{state.api_url}/readyz")) is None
    assert "@127.0.0.1:" in state.database_url
    assert problem(PostgresProbe(state.database_url.replace("127.0.0.1", host))) is not None
    assert state.store_url == (tmp_path / "elsewhere").as_uri()
    assert up.output.count("warning: --bind 0.0.0.0: ") == 1
    assert run_command("doctor", "--home", str(home)).returncode == 0


def test_a_stack_bound_to_one_address_works_there(start: Start) -> None:
    up = start(bind="127.0.0.2")
    state = up.wait_ready()
    assert state.api_url.startswith("http://127.0.0.2:")
    assert "warning" not in up.output
    assert problem(RedisProbe(state.redis_url.replace("127.0.0.2", "127.0.0.1"))) is not None


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--bind", "192.0.2.7"], "error: --bind is '192.0.2.7', where nothing can listen"),
        (["--store", "nonsense"], "error: the store 'nonsense' is no URL"),
    ],
)
def test_an_address_that_cannot_be_is_one_clear_line(home: Path, options: list[str], line: str) -> None:
    done = run_command("up", "--home", str(home), *options)
    assert done.returncode == 1
    assert done.stderr.startswith(line)
    assert done.stderr.count("\n") == 1


def test_up_says_what_each_kind_of_agent_offers(start: Start) -> None:
    up = start(agents=5)
    up.wait_ready()
    assert re.search(r"^big: .* cores?, \d+ MiB, high-cpu, no accelerator: n1, n5$", up.output, re.MULTILINE)
    assert re.search(r"^sim-gpu: .* MiB, med-cpu, simulated gpu: n4$", up.output, re.MULTILINE)


def test_one_agent_is_one_agent_and_none_is_no_line(start: Start) -> None:
    up = start(agents=1)
    up.wait_ready()
    assert "1 agent, 1 placer\n" in up.output
    up.stop()
    none = start(agents=0)
    none.wait_ready()
    assert "0 agents, 1 placer\n" in none.output
    assert "starting \n" not in none.output
