"""What the command line does with runs that have ended."""

from collections.abc import Callable

from typer.testing import Result

from tests.support.fake_api import FakeApi

Cli = Callable[..., Result]


def test_retry_prints_the_new_run(cli: Cli, api: FakeApi) -> None:
    api.add_run("r", states=("FAILED",))

    assert cli("retry", "r").stdout == "r-2  quickstart  PENDING\n"


def test_what_has_succeeded_is_not_tried_again(cli: Cli, api: FakeApi) -> None:
    api.add_run("r")

    result = cli("retry", "r")

    assert result.exit_code == 1
    assert "run r is SUCCEEDED" in result.stderr


def test_an_archived_run_is_listed_when_asked_for_and_can_be_taken_back(cli: Cli, api: FakeApi) -> None:
    api.add_run("abc")

    assert cli("archive", "abc").stdout == "abc  quickstart  put away\n"
    assert cli("ls").stdout.strip() == "no runs"
    assert "abc" in cli("ls", "--archived").stdout
    assert cli("archive", "ab", "--undo").stdout == "abc  quickstart  back\n"
    assert "abc" in cli("ls").stdout


def test_what_goes_on_is_not_put_away(cli: Cli, api: FakeApi) -> None:
    api.add_run("r", states=("RUNNING",))

    result = cli("archive", "r")

    assert result.exit_code == 1
    assert "has not ended" in result.stderr
