"""Which way the variables of a container take to it."""

from pathlib import Path

import pytest

from nodewise.agent.variables import sorted_out

PEM = "-----BEGIN PRIVATE KEY-----\nsecret\n-----END PRIVATE KEY-----\n"


@pytest.mark.parametrize("name", ["TOKEN", "LD_PRELOAD", "DOCKER_HOST", "PATH", "https_proxy", "a.b-c"])
def test_what_fits_on_a_line_is_filed_whatever_its_name(name: str) -> None:
    given = sorted_out({name: " # value = 'x' "})
    assert (dict(given.filed), dict(given.inherited), dict(given.shown)) == (
        {name: " # value = 'x' "},
        {},
        {},
    )


@pytest.mark.parametrize(
    "name", ["PEM", "SSH_PRIVATE_KEY", "GOOGLE_CREDENTIALS", "TLS_KEY", "USER_TOKEN", "TERMS"]
)
@pytest.mark.parametrize("value", [PEM, "\r", "x" * 70_000, "\udcff"])
def test_what_fits_on_no_line_is_inherited(name: str, value: str) -> None:
    given = sorted_out({name: value})
    assert given.words(Path("f")) == [f"--env={name}"]
    assert given.inherited == {name: value}


@pytest.mark.parametrize(
    "name",
    ["LD_PRELOAD", "LD_LIBRARY_PATH", "DOCKER_HOST", "CONTAINER_HOST", "PATH", "HOME", "HTTPS_PROXY", "no_proxy", "GODEBUG", "BASH_ENV", "PYTHONPATH"],
)  # fmt: skip
def test_unless_the_client_would_heed_it(name: str) -> None:
    given = sorted_out({name: "a\nb"})
    assert given.words(Path("f")) == [f"--env={name}=a\nb"]


@pytest.mark.parametrize("name", ["", "#", "A B", "1", "A\n", "BASH_FUNC_ls%%"])
def test_what_is_no_proper_name_is_passed_on_as_it_was(name: str) -> None:
    assert sorted_out({name: "v"}).words(Path("f")) == [f"--env={name}=v"]


def test_the_file_is_for_its_owner_only_and_made_anew(tmp_path: Path) -> None:
    file = tmp_path / "environment"
    file.symlink_to(tmp_path / "elsewhere")
    given = sorted_out({"B": "ü", "A": "1=2"})
    given.write(file)
    assert file.read_text(encoding="utf-8") == "A=1=2\nB=ü\n"
    assert file.stat().st_mode & 0o777 == 0o600
    assert not (tmp_path / "elsewhere").exists()
    assert given.words(file) == [f"--env-file={file}"]


def test_nothing_is_filed_where_there_is_nothing(tmp_path: Path) -> None:
    sorted_out({}).write(tmp_path / "environment")
    assert not (tmp_path / "environment").exists()
