"""What a newcomer meets of keys: nothing. And what nobody meets: a secret where it does not belong."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil
import psycopg
import pytest

from nodewise.sdk.client import ApiError, Client
from nodewise.stack.keys import key_file
from nodewise.stack.state import load_state
from tests.support.stack import clean_environment

pytestmark = pytest.mark.stack
ROOT = Path(__file__).parents[2]


def nodewise(folder: Path, *arguments: str, **env: str) -> "subprocess.CompletedProcess[str]":
    """The command as a newcomer types it: in a folder, with nothing set."""
    environment = clean_environment(env)
    if "NODEWISE_API_KEY" not in env:
        del environment["NODEWISE_API_KEY"]
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "nodewise.sdk.cli", *arguments],
        cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=170,
    )  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder in which somebody has typed `nodewise up`."""
    made = tmp_path_factory.mktemp("newcomer")
    up = nodewise(made, "up", "--detach", "--agents", "1")
    try:
        assert up.returncode == 0, up.stdout + up.stderr
        yield made
    finally:
        down = nodewise(made, "down")
    assert down.returncode == 0, down.stdout + down.stderr


@pytest.fixture(scope="module")
def key(folder: Path) -> str:
    return key_file(folder / ".nodewise").read_text().strip()


def url_of(folder: Path) -> str:
    state = load_state(folder / ".nodewise")
    assert state is not None
    return state.api_url


def test_a_newcomer_types_nothing_about_keys(folder: Path) -> None:
    done = nodewise(folder, "submit", str(ROOT / "examples" / "quickstart.py"), "--watch")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SUCCEEDED" in done.stdout
    assert "admin of all teams" in nodewise(folder, "keys", "whoami").stdout


def test_the_key_is_its_owners_only(folder: Path) -> None:
    assert key_file(folder / ".nodewise").stat().st_mode & 0o777 == 0o600


def test_from_elsewhere_one_is_told_what_is_missing(folder: Path, tmp_path: Path) -> None:
    refused = nodewise(tmp_path, "ls", "--url", url_of(folder))
    assert refused.returncode == 1
    assert "NODEWISE_API_KEY" in refused.stderr


def test_a_key_of_a_team_sees_its_own_runs_until_it_is_revoked(folder: Path, tmp_path: Path) -> None:
    made = nodewise(folder, "keys", "create", "guest", "--role", "viewer", "--team", "guests")
    assert made.returncode == 0, made.stderr
    file = tmp_path / "guest.key"
    file.write_text(made.stdout)
    said = nodewise(tmp_path, "ls", "--url", url_of(folder), NODEWISE_API_KEY_FILE=str(file))
    assert said.stdout.strip() == "no runs"
    assert "guest" in nodewise(folder, "keys", "list").stdout
    assert nodewise(folder, "keys", "revoke", "guest").returncode == 0
    with (
        Client(url_of(folder), api_key=made.stdout) as client,
        pytest.raises(ApiError, match="was revoked at"),
    ):
        list(client.runs())


def test_no_secret_is_in_a_log_an_argument_or_a_table(folder: Path, key: str) -> None:
    """Nor where tasks can read it: in the environment of an agent."""
    home = folder / ".nodewise"
    state = load_state(home)
    assert state is not None
    # A refused request and a failed one are logged, too.
    httpx.get(f"{state.api_url}/v1/runs", headers={"Authorization": f"Bearer {key}x"})
    httpx.get(f"{state.api_url}/v1/runs?cursor=broken", headers={"Authorization": f"Bearer {key}"})
    passwords = [urlsplit(url).password for url in (state.database_url, state.redis_url)]
    secrets = [key.split("_", 2)[2], *(word for word in passwords if word)]
    assert len(secrets) == 3
    ours = [psutil.Process(process.id.pid) for process in state.processes.values()]
    arguments = " ".join(
        " ".join(found.cmdline()) for one in ours for found in (one, *one.children(recursive=True))
    )
    assert "nodewise.api" in arguments
    logs = {log.name: log.read_text(errors="replace") for log in (home / "logs").iterdir()}
    assert logs
    for secret in secrets:
        assert secret not in arguments
        assert [name for name, log in logs.items() if secret in log] == []
    for name, process in state.processes.items():
        if name.startswith("agent-"):
            environment = psutil.Process(process.id.pid).environ()
            assert secrets[0] not in str(environment)
            assert "NODEWISE_ADMIN_KEY_FILE" not in environment
    with psycopg.connect(state.database_url) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        for (table,) in tables:
            rows = connection.execute(f'SELECT to_jsonb(t)::text FROM "{table}" AS t').fetchall()  # type: ignore[call-overload]
            for secret in secrets:
                assert secret not in str(rows), table


def test_another_user_of_the_machine_gets_in_nowhere_without_a_key(folder: Path) -> None:
    url = url_of(folder)
    assert httpx.get(f"{url}/v1/runs").status_code == 401
    assert httpx.post(f"{url}/submit/", files={"name": b"x"}).status_code == 401
    assert httpx.get(f"{url}/healthz").status_code == 200
    assert os.environ.get("NODEWISE_AUTH") is None
