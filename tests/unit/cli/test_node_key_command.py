"""`nodewise keys node`: the key of a node, from the secret of the stack at hand."""

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from nodewise.core.model.ids import NodeName
from nodewise.core.nodekeys import ClusterSecret, new_secret
from tests.support.fake_api import FakeApi

Cli = Callable[..., Result]


@pytest.fixture
def secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ClusterSecret:
    """That of a stack whose home is the environment's."""
    (tmp_path / "node.secret").write_text(text := new_secret())
    monkeypatch.setenv("NODEWISE_HOME", str(tmp_path))
    return ClusterSecret(raw=text.encode())


def test_a_key_goes_to_stdout_alone_and_nothing_is_asked(
    cli: Cli, api: FakeApi, secret: ClusterSecret
) -> None:
    assert cli("keys", "node", "gpu-1").stdout == f"{secret.node_key(NodeName('gpu-1')).text}\n"
    assert cli("keys", "node", "--carrier").stdout == f"{secret.carrier_key().text}\n"
    assert api.requests == []


def test_another_file_may_have_the_secret(cli: Cli, secret: ClusterSecret, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text(text := new_secret())
    printed = cli("keys", "node", "n1", "--secret-file", str(tmp_path / "mine")).stdout.strip()
    assert printed == ClusterSecret(raw=text.encode()).node_key(NodeName("n1")).text


@pytest.mark.parametrize("wrong", [(), ("n1", "--carrier"), ("../n1",)])
def test_what_is_no_name_is_refused(cli: Cli, secret: ClusterSecret, wrong: tuple[str, ...]) -> None:
    done = cli("keys", "node", *wrong)
    assert done.exit_code == 2
    assert done.stdout == ""


def test_where_there_is_no_secret_the_file_that_is_missing_is_named(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NODEWISE_HOME", str(tmp_path))
    done = cli("keys", "node", "n1")
    assert done.exit_code != 0
    assert str(tmp_path / "node.secret") in str(done.stderr or done.exception)
