"""What a process says of an environment that it cannot read."""

from pathlib import Path

import pytest

from nodewise.core.settings import read_settings


def test_each_variable_that_breaks_a_rule_is_named_without_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NODEWISE_TICK_SECONDS", "soon-hunter2")
    monkeypatch.setenv("NODEWISE_LEASE_SECONDS", "-7")
    monkeypatch.setenv("DATABASE_URL", "postgres://nodewise:hunter2@db/nodewise")
    with pytest.raises(SystemExit) as refused:
        read_settings()
    first, second = str(refused.value).splitlines()
    assert first.startswith("the environment variable NODEWISE_TICK_SECONDS: Input should be a valid number")
    assert second == "the environment variable NODEWISE_LEASE_SECONDS: Input should be greater than 0"
    assert "hunter2" not in str(refused.value)


def test_a_password_file_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NODEWISE_DATABASE_PASSWORD_FILE", str(tmp_path / "none"))
    with pytest.raises(SystemExit, match=f"the password file {tmp_path / 'none'} cannot be read"):
        read_settings()
