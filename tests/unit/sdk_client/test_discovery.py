"""Where the client looks for the API."""

import json
from pathlib import Path

import pytest

from nodewise.sdk.discovery import NoKey, NoStack, find_key, find_url


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


def test_the_key_that_the_caller_says_wins(tmp_path: Path) -> None:
    env = {"NODEWISE_API_KEY": "nw_env"}
    assert find_key("http://a", " nw_said\n", environment=env, folder=tmp_path) == "nw_said"
    assert find_key("http://a", environment=env, folder=tmp_path) == "nw_env"


def test_a_key_is_read_from_the_file_that_is_named(tmp_path: Path) -> None:
    file = tmp_path / "ci.key"
    file.write_text("nw_file\n")
    assert (
        find_key("http://a", environment={"NODEWISE_API_KEY_FILE": str(file)}, folder=tmp_path) == "nw_file"
    )


def test_a_file_that_cannot_be_read_is_named_and_nothing_else_is_tried(tmp_path: Path) -> None:
    with pytest.raises(NoKey, match="nowhere cannot be read"):
        find_key(
            "http://a", environment={"NODEWISE_API_KEY_FILE": str(tmp_path / "nowhere")}, folder=tmp_path
        )


def test_the_key_of_a_stack_is_for_its_own_address_only(tmp_path: Path) -> None:
    home = stack_in(tmp_path / ".nodewise", api_url="http://127.0.0.1:7001/")
    (home / "admin.key").write_text("nw_admin\n")
    (tmp_path / "a").mkdir()
    assert find_key("http://127.0.0.1:7001", environment={}, folder=tmp_path / "a") == "nw_admin"
    assert find_key("http://elsewhere:7001", environment={}, folder=tmp_path) is None
    named = {"NODEWISE_HOME": str(home)}
    assert find_key("http://127.0.0.1:7001", environment=named, folder=Path("/")) == "nw_admin"


def test_without_any_key_none_is_sent(tmp_path: Path) -> None:
    assert find_key("http://a", environment={}, folder=tmp_path) is None
    stack_in(tmp_path / ".nodewise", api_url="http://a")
    assert find_key("http://a", environment={}, folder=tmp_path) is None


@pytest.mark.parametrize("said", ["nw_a b", "nw_\n_x", "nw_\u00fc", "  "])
def test_what_no_header_can_hold_is_no_key(tmp_path: Path, said: str) -> None:
    with pytest.raises(NoKey) as raised:
        find_key("http://a", said, environment={}, folder=tmp_path)
    assert said.strip() == "" or said not in str(raised.value)
