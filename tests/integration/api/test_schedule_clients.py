"""Recurring runs from Python and from the command line, against the real API."""

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from nodewise.core.settings import Settings
from nodewise.sdk import Client
from nodewise.sdk.cli.app import app
from nodewise.sdk.client import ApiError, Schedule
from nodewise.sdk.compiled import CompiledPipeline
from tests.support.pipelines import compiled
from tests.support.scheduling import HOUR, NOON, Desk, a_desk

QUICKSTART = str(Path(__file__).resolve().parents[3] / "examples" / "quickstart.py")
Cli = Callable[..., Result]


@pytest.fixture
def desk(settings: Settings) -> Iterator[Desk]:
    with a_desk(settings) as desk:
        yield desk


@pytest.fixture
def client(desk: Desk) -> Iterator[Client]:
    with Client(str(desk.http.base_url), retries=0) as client:
        yield client


@pytest.fixture
def cli(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Cli:
    monkeypatch.setenv("NODEWISE_URL", str(desk.http.base_url))
    return lambda *arguments: CliRunner().invoke(app, ["schedule", *arguments])


def hourly(client: Client, name: str = "hourly", **options: object) -> Schedule:
    pipeline = CompiledPipeline(pipeline_spec=compiled())
    return client.schedule(pipeline, name=name, every="1h", start=NOON, **options)


def test_a_schedule_is_made_found_and_forgotten(client: Client) -> None:
    made = hourly(client, team="blue", labels={"wave": "1"}, priority=3, catchup=False, max_concurrency=4)
    assert made.info["interval_seconds"] == 3600
    assert made.info["upcoming"][0] == "2026-11-20T12:00:00Z"
    assert made.info["run"] == {"parameters": {}, "team": "blue", "labels": {"wave": "1"}, "priority": 3}
    assert [one.id for one in client.schedules(team="blue")] == [made.id]
    assert client.get_schedule(made.id).info == made.info
    made.delete()
    assert list(client.schedules()) == []
    with pytest.raises(ApiError, match="no schedule") as refused:
        made.refresh()
    assert refused.value.status == 404


def test_its_runs_are_found(client: Client, desk: Desk) -> None:
    made = hourly(client)
    at_once = made.run()
    desk.end_runs()
    desk.look(ahead=HOUR)
    assert [run.info["scheduled_for"] for run in made.runs()] == ["2026-11-20T12:00:00Z", None]
    assert [run.id for run in made.runs(state="SUCCEEDED")] == [at_once.id]
    assert made.refresh().info["active_runs"] == 1


def test_it_can_be_switched_off_and_on(client: Client) -> None:
    made = hourly(client)
    assert not made.disable().enabled
    assert [one.name for one in client.schedules(enabled=False)] == ["hourly"]
    assert made.enable().enabled
    assert list(client.schedules(enabled=False)) == []


def test_all_pages_are_read(client: Client, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nodewise.sdk.client.paging._PAGE", 2)
    for number in range(5):
        desk.clock.forward(1)
        hourly(client, f"s{number}")
    assert [one.name for one in client.schedules()] == ["s4", "s3", "s2", "s1", "s0"]
    assert [one.name for one in client.schedules(limit=3)] == ["s4", "s3", "s2"]


def test_asking_twice_with_one_key_makes_one(client: Client) -> None:
    assert hourly(client, idempotency_key="k").id == hourly(client, idempotency_key="k").id


def test_what_the_api_refuses_is_said_with_its_field(client: Client) -> None:
    pipeline = CompiledPipeline(pipeline_spec=compiled())
    with pytest.raises(ApiError, match="no cron expression"):
        client.schedule(pipeline, cron="61 * * * *")
    with pytest.raises(ApiError, match=r"run\.policy"):
        client.schedule(pipeline, cron="@daily", policy="whim")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"every": "soon"}, "a duration is written as"),
        ({"every": 1.5}, "whole number of seconds"),
        ({"every": timedelta(0)}, "must be positive"),
        ({"every": 60, "start": "tomorrow"}, "is no time"),
        ({"every": 60, "end": "2031-01-01T00:00"}, "needs a time zone"),
    ],
)
def test_what_is_no_time_is_refused_before_anything_is_sent(
    client: Client, options: dict[str, object], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        client.schedule(CompiledPipeline(pipeline_spec=compiled()), **options)


def test_the_command_line_leads_through_a_schedule_s_life(cli: Cli, desk: Desk) -> None:
    added = cli("add", QUICKSTART, "--name", "nightly", "--cron", "30 2 * * *", "--time-zone", "Europe/Berlin",
                "-p", "depth=4", "--no-catchup", "--max-concurrency", "2", "--team", "blue")  # fmt: skip
    assert added.exit_code == 0, added.output
    schedule_id, name, state, *following = added.stdout.split()
    assert (name, state, following) == ("nightly", "enabled", ["next", "2026-11-21T01:30:00Z"])
    (line,) = cli("ls").stdout.splitlines()[1:]
    assert line.split() == [
        schedule_id[:8], "nightly", "30", "2", "*", "*", "*", "(Europe/Berlin)", "enabled", "2026-11-21T01:30:00Z", "-",
        "0/2", "-",
    ]  # fmt: skip
    started = cli("run", "nightly")
    assert started.stdout.split()[1:] == ["nightly", "PENDING"]
    shown = cli("show", schedule_id[:8]).stdout
    assert "catch-up    the latest" in shown
    assert "next        2026-11-21T01:30:00Z, 2026-11-22T01:30:00Z" in shown
    assert started.stdout[:8] in shown
    assert cli("disable", "nightly").stdout.split()[2] == "disabled"
    assert cli("enable", "nightly").stdout.split()[2] == "enabled"
    assert cli("rm", "nightly").stdout.split() == [schedule_id, "nightly", "deleted"]
    assert cli("ls").stdout.strip() == "no schedules"


def test_json_is_what_the_api_says(cli: Cli, desk: Desk) -> None:
    made = json.loads(cli("add", QUICKSTART, "--every", "90m", "--json").stdout)
    assert made == desk.show(made["id"])
    assert json.loads(cli("show", made["id"], "--json").stdout) == {**made, "runs": []}
    assert [item["id"] for item in json.loads(cli("ls", "--json").stdout)] == [made["id"]]


def test_a_refusal_is_told_where_schedules_are_shown(cli: Cli, desk: Desk) -> None:
    cli(
        "add",
        QUICKSTART,
        "--name",
        "poor",
        "--every",
        "1h",
        "--start",
        "2026-11-20T12:00:00Z",
        "--policy",
        "fifo",
    )
    with desk.engine.begin() as connection:
        connection.exec_driver_sql(
            """UPDATE schedules SET request = jsonb_set(request, '{policy}', '"gone"')"""
        )
    desk.look(ahead=HOUR)
    shown = cli("show", "poor").stdout
    assert "no policy named 'gone' is installed" in shown
    assert "1 times since the latest run" in shown


def test_wrong_commands_say_what_is_wrong(cli: Cli, client: Client) -> None:
    assert "no schedule named 'nightly'" in cli("show", "nightly").stderr
    hourly(client, "twin", team="a")
    hourly(client, "twin", team="b")
    assert "2 schedules are meant by 'twin'" in cli("disable", "twin").stderr
    assert "a duration is written as" in cli("add", QUICKSTART, "--every", "soon").stderr
    assert "either cron or interval_seconds" in cli("add", QUICKSTART).stderr
    assert "'1 2 3' has 3" in cli("add", QUICKSTART, "--cron", "1 2 3").stderr
