"""The passwords of the Compose file: made once, or given, whatever characters they have; and the keys that go with them."""

import subprocess
import sys
from pathlib import Path

import pytest
import redis

from nodewise.core.model.ids import NodeName
from nodewise.core.nodekeys import ClusterSecret, NodeKey, new_secret
from nodewise.core.tokens import new_token, read_token
from nodewise.stack.ports import choose_ports
from nodewise.stack.valkey import find_binary
from tests.support.waiting import wait_until

FOLDERS = ("postgres", "redis", "reader", "admin", "nodes", "node-big", "node-small", "node-gpu")
SCRIPT = Path(__file__).parents[3] / "deploy" / "compose" / "passwords.sh"


def run(tmp_path: Path, **given: str) -> Path:
    """Run it with these passwords; returns the folder of what it keeps."""
    kept, secrets = tmp_path / "kept", tmp_path / "given"
    for folder in (secrets, *(kept / name for name in FOLDERS)):
        folder.mkdir(parents=True, exist_ok=True)
    for name, password in given.items():
        (secrets / f"{name}_password").write_text(password)
    subprocess.run(
        ["sh", str(SCRIPT)],
        check=True,
        env={
            "PATH": "/usr/bin:/bin:/usr/local/bin",
            "PYTHON": sys.executable,
            "KEPT": str(kept),
            "GIVEN": str(secrets),
        },
    )
    return kept


def test_the_key_of_the_admin_is_made_once_and_kept_or_given(tmp_path: Path) -> None:
    key = run(tmp_path) / "admin" / "key"
    first = key.read_text()
    assert read_token(first) is not None
    run(tmp_path)
    assert key.read_text() == first
    given = new_token().text
    (tmp_path / "given" / "admin_key").write_text(given)
    run(tmp_path)
    assert key.read_text() == given
    assert key.stat().st_mode & 0o077 == 0


def test_each_node_gets_the_key_of_its_name_from_a_secret_that_is_made_once_or_given(tmp_path: Path) -> None:
    kept = run(tmp_path)
    first = (kept / "nodes" / "secret").read_text()
    run(tmp_path)
    assert (kept / "nodes" / "secret").read_text() == first
    (tmp_path / "given" / "node_secret").write_text(given := new_secret())
    run(tmp_path)
    assert (kept / "nodes" / "secret").read_text() == given
    assert (kept / "nodes" / "secret").stat().st_mode & 0o077 == 0
    secret = ClusterSecret.read(kept / "nodes" / "secret")
    for name in ("big", "small", "gpu"):
        assert NodeKey.read(kept / f"node-{name}" / "key") == secret.node_key(NodeName(name))


def test_passwords_are_made_once_and_kept(tmp_path: Path) -> None:
    kept = run(tmp_path)
    first = {name: (kept / name / "password").read_text() for name in ("postgres", "redis", "reader")}
    assert len(set(first.values())) == 3
    assert all(len(password) >= 32 for password in first.values())
    run(tmp_path)
    assert {name: (kept / name / "password").read_text() for name in first} == first


@pytest.mark.parametrize("password", ["plain", 'my"redis\\pass word$1', "#%'`$(x)", "\\\\", "ends\n"])
def test_redis_takes_the_password_that_was_given(tmp_path: Path, password: str) -> None:
    kept = run(tmp_path, redis=password)
    port = choose_ports(["valkey"], {})["valkey"]
    server = subprocess.Popen(
        [str(find_binary()), str(kept / "redis" / "redis.conf"), "--port", str(port)],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
    )
    try:
        client = redis.Redis(port=port, password=(kept / "redis" / "password").read_text())
        wait_until(lambda: answers(client), 20, "the server to take the password")
        assert (kept / "redis" / "password").read_text() == password.rstrip("\n")
        only_queues(client)
    finally:
        server.terminate()
        server.wait(20)


def only_queues(client: "redis.Redis") -> None:
    """What tasks could do with the password of their agent."""
    client.lpush("queue", "message")
    assert client.blpop(["queue"], timeout=1) == (b"queue", b"message")
    assert client.publish("channel", "message") == 0
    for words in (
        ("CONFIG", "SET", "requirepass", "mine"),
        ("ACL", "SETUSER", "default", "on", ">mine"),
        ("REPLICAOF", "127.0.0.1", "1"),
        ("MIGRATE", "127.0.0.1", "1", "queue", "0", "10"),
        ("FLUSHALL",),
        ("SHUTDOWN", "NOSAVE"),
    ):
        with pytest.raises(redis.exceptions.NoPermissionError):
            client.execute_command(*words)


def answers(client: "redis.Redis") -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False
