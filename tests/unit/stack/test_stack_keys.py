"""The admin key of a home, and the keys of its nodes."""

from pathlib import Path

import pytest

from nodewise.core.model.ids import NodeName
from nodewise.core.nodekeys import CarrierKey, ClusterSecret, NodeKey
from nodewise.core.tokens import new_token, read_token
from nodewise.stack.errors import StackError
from nodewise.stack.keys import (
    carrier_key_file,
    key_file,
    key_in,
    key_problem,
    node_key_file,
    prepare_key,
    prepare_node_keys,
    secret_file,
)
from tests.support.keys import WELL_FORMED


def test_a_home_gets_a_key_once_and_for_its_owner_only(tmp_path: Path) -> None:
    prepare_key(tmp_path)
    first = key_in(tmp_path)
    assert first is not None
    assert read_token(first) is not None
    assert key_file(tmp_path).stat().st_mode & 0o777 == 0o600
    prepare_key(tmp_path)
    assert key_in(tmp_path) == first
    assert key_problem(tmp_path) is None


def test_a_key_that_others_can_read_is_not_used(tmp_path: Path) -> None:
    prepare_key(tmp_path)
    key_file(tmp_path).chmod(0o644)
    with pytest.raises(StackError, match=r"can be read by others \(mode 644\); chmod 600"):
        prepare_key(tmp_path)
    assert key_problem(tmp_path) is not None


@pytest.mark.parametrize("text", ["", "hunter2", "nw_1_2", f"{WELL_FORMED} {WELL_FORMED}"])
def test_a_file_without_a_key_is_not_used_and_not_shown(tmp_path: Path, text: str) -> None:
    key_file(tmp_path).touch(mode=0o600)
    key_file(tmp_path).write_text(text)
    with pytest.raises(StackError, match="it holds no key of the form") as raised:
        prepare_key(tmp_path)
    assert not text or text not in str(raised.value)


def test_a_home_without_one_says_so(tmp_path: Path) -> None:
    assert key_in(tmp_path) is None
    assert key_problem(tmp_path) is not None


def test_nodes_get_their_keys_from_a_secret_that_stays_and_all_are_for_their_owner_only(
    tmp_path: Path,
) -> None:
    prepare_node_keys(tmp_path, ["n1", "n2"])
    secret = ClusterSecret.read(secret_file(tmp_path))
    prepare_node_keys(tmp_path, ["n1", "n3"])
    assert ClusterSecret.read(secret_file(tmp_path)) == secret
    for name in ("n1", "n2", "n3"):
        assert NodeKey.read(node_key_file(tmp_path, name)) == secret.node_key(NodeName(name))
    assert CarrierKey.read(carrier_key_file(tmp_path)) == secret.carrier_key()
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert len(files) == 5
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(("text", "mode"), [("", 0o600), ("short", 0o600), ("s" * 40, 0o644)])
def test_a_secret_that_is_none_or_that_others_can_read_is_not_used(
    tmp_path: Path, text: str, mode: int
) -> None:
    secret_file(tmp_path).write_text(text)
    secret_file(tmp_path).chmod(mode)
    with pytest.raises(StackError) as raised:
        prepare_node_keys(tmp_path, ["n1"])
    assert str(secret_file(tmp_path)) in str(raised.value)
    assert not text or text not in str(raised.value)


def test_a_token_is_read_as_it_is_written_and_does_not_show_its_secret() -> None:
    token = new_token()
    assert read_token(token.text) == token
    assert token.secret not in repr(token)
    assert len(token.secret_hash) == 32
    assert len({new_token().text for _ in range(100)}) == 100
