"""Keys of nodes: derived always alike, each for one name, and never shown by accident."""

import hashlib
import hmac
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodewise.core.model.ids import NodeName
from nodewise.core.nodekeys import (
    BadKey,
    CarrierKey,
    ClusterSecret,
    NodeKey,
    could_be_name,
    main,
    new_secret,
    write_private,
)

SECRET = ClusterSecret(raw=b"0123456789abcdef0123456789abcdef")
NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,40}", fullmatch=True)


def test_the_derivation_stays_as_it_is() -> None:
    """A change would shut out every node that has a key: these were computed once, by this code."""
    assert SECRET.node_key(NodeName("n1")).text == f"nwn_n1_{VECTORS['n1']}"
    assert SECRET.node_key(NodeName("gpu_1")).text == f"nwn_gpu_1_{VECTORS['gpu_1']}"
    assert SECRET.carrier_key().text == f"nwc_{VECTORS['carrier']}"
    assert SECRET.carrier_key().of_node("n1").hex() == VECTORS["n1 of the carrier"]


VECTORS = {
    "n1": "6aa30a5dcfb1aa391f1186c7c1a1ababa416d2fd3731a432b517fb1e05400241",
    "gpu_1": "9f90e4604a77a5d815e89454ab190bbd97cbc2fedbd09e6c65dee4b96ddf398e",
    "carrier": "8e928f7fd49543c1a622a5ff7874c3ab9033678edb44795500cf46bcfba3a002",
    "n1 of the carrier": "eb639bd06c73278eabb44ed214fb39c43a98be86bb29a6b6eb34ef38ecb3afb0",
}


def test_it_is_what_the_decision_says() -> None:
    """Twice HMAC-SHA256, as ADR 0017 has it."""
    realm = hmac.new(SECRET.raw, b"nodewise realm key v1\0agents", hashlib.sha256).digest()
    node = hmac.new(realm, b"nodewise node key v1\0n1", hashlib.sha256).digest()
    assert SECRET.node_key(NodeName("n1")).raw == node


@given(one=NAMES, other=NAMES)
def test_two_names_never_have_one_key(one: str, other: str) -> None:
    keys = {SECRET.of_node(realm, name) for realm in ("agents", "kubernetes") for name in (one, other)}  # type: ignore[arg-type]
    assert len(keys) == (2 if one == other else 4)


@given(name=NAMES)
def test_a_key_is_read_as_it_is_written(name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp("keys") / "key"
    key = SECRET.node_key(NodeName(name))
    file.write_text(f"\n{key.text}\n")
    assert NodeKey.read(file) == key


def test_nothing_shows_a_key_that_is_printed_in_a_log() -> None:
    for one in (SECRET, SECRET.node_key(NodeName("n1")), SECRET.carrier_key()):
        assert one.raw.hex() not in repr(one)
        assert repr(one.raw) not in repr(one)


@pytest.mark.parametrize("read", [ClusterSecret.read, NodeKey.read, CarrierKey.read])
@pytest.mark.parametrize("text", [None, "", "short", b"\xff\xfe", "nwn_n1_12", "nwc_" + "g" * 64])
def test_a_file_that_holds_none_is_named_and_its_content_is_not(
    read: Callable[[Path], Any], text: str | bytes | None, tmp_path: Path
) -> None:
    file = tmp_path / "key"
    if text is not None:
        file.write_bytes(text.encode() if isinstance(text, str) else text)
    if read == ClusterSecret.read and text == "nwc_" + "g" * 64:
        return
    with pytest.raises(BadKey) as raised:
        read(file)
    assert str(file) in str(raised.value)
    assert not text or str(text) not in str(raised.value)


def test_a_written_key_is_for_its_owner_only(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("older")
    file.chmod(0o644)
    write_private(file, "text")
    assert file.read_text() == "text\n"
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [file]


def test_the_command_prints_or_writes_a_key_and_knows_the_secret_from_a_file_only(tmp_path: Path) -> None:
    file, out = tmp_path / "secret", tmp_path / "out"
    file.write_text(text := new_secret())
    secret = ClusterSecret(raw=text.encode())
    command = [sys.executable, "-P", "-m", "nodewise.core.nodekeys", "--secret-file", str(file)]
    printed = subprocess.run([*command, "n7"], capture_output=True, text=True, check=True)
    assert printed.stdout.strip() == secret.node_key(NodeName("n7")).text
    subprocess.run([*command, "--carrier", "--out", str(out)], check=True)
    assert CarrierKey.read(out) == secret.carrier_key()


@pytest.mark.parametrize("arguments", [[], ["n1", "--carrier"], ["../n1"], ["n 1"]])
def test_the_command_refuses_what_is_no_name(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "--secret-file", str(tmp_path / "none")])
    assert ended.value.code == 2
    assert capsys.readouterr().out == ""


def test_the_command_says_what_is_wrong_with_its_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["n1", "--secret-file", str(tmp_path / "none")]) == 2
    said = capsys.readouterr().err
    assert str(tmp_path / "none") in said
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize("name", ["", ".n", "n/1", "n\n1", "n" * 300, "é"])
def test_what_cannot_be_a_name(name: str) -> None:
    assert not could_be_name(name)
