"""Where the client looks for the API."""

import json
from pathlib import Path

import pytest

from nodewise.sdk.discovery import NoStack, find_url


def stack_in(home: Path, **content: object) -> Path:
    home.mkdir(parents=True)
    (home / "stack.json").write_text(json.dumps(content))
    return home


def test_what_the_caller_says_wins(tmp_path: Path) -> None:
    home = stack_in(tmp_path / ".nodewise", api_url="http://stack")

    assert (
        find_url("http://said/", environment={"NODEWISE_URL": "http://env"}, folder=home.parent)
        == "http://said"
    )


def test_the_environment_wins_over_the_folder(tmp_path: Path) -> None:
    home = stack_in(tmp_path / ".nodewise", api_url="http://stack")

    assert find_url(environment={"NODEWISE_URL": "env:8000"}, folder=home.parent) == "http://env:8000"


def test_the_stack_of_a_folder_above_is_found(tmp_path: Path) -> None:
    stack_in(tmp_path / ".nodewise", api_url="http://stack")
    (tmp_path / "a" / "b").mkdir(parents=True)

    assert find_url(environment={}, folder=tmp_path / "a" / "b") == "http://stack"


def test_a_named_home_is_used_wherever_one_is(tmp_path: Path) -> None:
    home = stack_in(tmp_path / "home", api_url="http://stack")

    assert find_url(environment={"NODEWISE_HOME": str(home)}, folder=tmp_path / "elsewhere") == "http://stack"


@pytest.mark.parametrize("content", [None, "{", "[]", '{"phase": "starting"}'])
def test_without_a_stack_the_error_says_what_to_do(tmp_path: Path, content: str | None) -> None:
    (tmp_path / ".nodewise").mkdir()
    if content is not None:
        (tmp_path / ".nodewise" / "stack.json").write_text(content)

    with pytest.raises(NoStack, match="run `nodewise up`"):
        find_url(environment={}, folder=tmp_path)
