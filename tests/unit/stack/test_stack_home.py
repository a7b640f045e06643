"""The folder of a stack: others see nothing of what is in it."""

import os
import stat
from pathlib import Path

import pytest

from nodewise.stack.home import prepare

FOLDERS = ("agents", "keys", "logs", "store", "valkey", "venvs")


@pytest.fixture(autouse=True)
def _usual_umask() -> object:
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_home_is_for_its_owner_only(tmp_path: Path) -> None:
    home = tmp_path / "deep" / "home"
    prepare(home)
    assert mode(home) == 0o700
    assert {folder.name: mode(folder) for folder in home.iterdir()} == dict.fromkeys(FOLDERS, 0o700)
    assert mode(tmp_path / "deep") == 0o755


def test_what_an_earlier_release_left_open_is_closed(tmp_path: Path) -> None:
    """The home itself may be any folder, a shared one too."""
    for name in FOLDERS:
        (tmp_path / name).mkdir()
    (tmp_path / "store" / "kept").touch()
    tmp_path.chmod(0o755)
    prepare(tmp_path)
    assert {mode(tmp_path / name) for name in FOLDERS} == {0o700}
    assert (tmp_path / "store" / "kept").exists()
    assert mode(tmp_path) == 0o755


def test_what_lies_elsewhere_is_left_as_it_is(tmp_path: Path) -> None:
    elsewhere, home = tmp_path / "shared", tmp_path / "home"
    elsewhere.mkdir()
    home.mkdir()
    (home / "store").symlink_to(elsewhere)
    prepare(home)
    assert mode(elsewhere) == 0o755
