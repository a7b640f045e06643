"""Every cell of the table in access.py, tried against a running gateway: endpoint x role x own or another team's."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from psycopg.types.json import Jsonb
from sqlalchemy import text

from nodewise.api import app as gateway
from nodewise.api import create_api
from nodewise.api.access import ACCESS, Access, Endpoint, Outcome, Scope, endpoints_of, table
from nodewise.api.routes.pages import add_pages
from nodewise.core.codec import encode
from nodewise.core.model.artifact import ArtifactRef, TaskOutputs
from nodewise.core.model.resources import Resources
from nodewise.core.model.role import Role
from nodewise.core.settings import Settings
from tests.integration.api.conftest import Api, running
from tests.support.keys import Holder, made, with_keys
from tests.support.pipelines import compiled
from tests.support.rows import insert_node

ROOT = Path(__file__).parents[3]
TEAMS = ("ours", "theirs")
NEVER = "30 2 29 2 *"
TASK = "train"


@dataclass
class Things:
    """What a team has, made by an admin, and fresh for whoever changes it."""

    admin: Holder
    team: str
    end: Callable[[str], None]
    number: int = 0
    made: dict[str, str] = field(default_factory=dict)

    def run(self, *, ended: bool = False) -> str:
        """A run that is open, or one that was canceled before anything of it began."""
        body = {"pipeline_spec": compiled(), "team": self.team, "name": f"run of {self.team}"}
        run_id = str(self._ok("POST", "/v1/runs", json=body)["id"])
        if ended:
            self.end(run_id)
        return run_id

    def schedule(self) -> str:
        self.number += 1
        body = {
            "name": f"schedule {self.number} of {self.team}",
            "cron": NEVER,
            "run": {"pipeline_spec": compiled(), "team": self.team},
        }
        return str(self._ok("POST", "/v1/schedules", json=body)["id"])

    def key(self) -> str:
        self.number += 1
        return made(self.admin, Role.VIEWER, self.team, name=f"spare {self.number} of {self.team}").id

    def _ok(self, method: str, path: str, **more: Any) -> Any:
        answer = self.admin.ask(method, path, **more)
        assert answer.is_success, answer.text
        return answer.json()


@dataclass
class World:
    """A gateway that wants keys, with two teams that have one of everything."""

    api: Api
    admin: Holder
    holders: dict[Role, Holder]
    things: dict[str, Things]

    def ask(self, endpoint: Endpoint, role: Role | None, team: str) -> httpx.Response:
        """The endpoint, on what is that team's. Who asks is always of the first team."""
        method, path = endpoint
        things = self.things[team]
        more: dict[str, Any] = {}
        if "{run_id}" in path:
            ended = path.endswith(("/retry", "archive"))
            kept = method == "GET" or path.endswith("/cancel")
            run = things.made["run"] if method == "GET" else things.run(ended=ended)
            assert kept or ended
            path = path.replace("{run_id}", run).replace("{path}", TASK).replace("{name}", "model")
            if path.endswith("/events"):
                # Ended: the stream of an open run would not end.
                path = path.replace(run, things.made["ended"])
        if "{schedule_id}" in path:
            path = path.replace("{schedule_id}", things.schedule())
        if "{key_id}" in path:
            path = path.replace("{key_id}", things.key())
        if endpoint in BODIES:
            more = BODIES[endpoint](things)
        if path.startswith("/v1/nodes/"):
            path = path.replace("{name}", "n1")
        path = path.replace("{name}", f"data-of-{team}").replace("/assets", "/assets/swagger-ui.css")
        if role is None:
            return self.api.http.request(method, path, **more)
        return self.holders[role].ask(method, path, **more)


def spec(things: Things) -> dict[str, Any]:
    return {"json": {"pipeline_spec": compiled(), "team": things.team}}


def schedule(things: Things) -> dict[str, Any]:
    things.number += 1
    name = f"asked {things.number} of {things.team}"
    return {"json": {"name": name, "cron": NEVER, "run": {"pipeline_spec": compiled(), "team": things.team}}}


def key(things: Things) -> dict[str, Any]:
    things.number += 1
    return {"json": {"name": f"asked {things.number} {things.team}", "role": "viewer", "team": things.team}}


BODIES: dict[Endpoint, Callable[[Things], dict[str, Any]]] = {
    ("POST", "/v1/runs"): spec,
    ("POST", "/v1/plans"): spec,
    ("POST", "/v1/schedules"): schedule,
    ("POST", "/v1/keys"): key,
    ("POST", "/v1/prune"): lambda _: {"json": {"older_than_seconds": 10**9, "dry_run": True}},
    ("PUT", "/v1/datasets/{name}"): lambda _: {"content": b"x,y\n1,2\n"},
}


@pytest.fixture(scope="module")
def shared_settings(
    databases: Any, valkey_server: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Settings]:
    """One database for all cells: they do not disturb each other."""
    name = databases.create()
    folder = tmp_path_factory.mktemp("store")
    yield Settings(database_url=databases.url(name), redis_url=valkey_server.url(), store_url=folder.as_uri())
    databases.give_back(name)


@pytest.fixture(scope="module")
def world(shared_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    settings, token = with_keys(shared_settings, tmp_path_factory.mktemp("keys"), rate_per_second=0)
    with running(settings) as api:
        admin = Holder(api.http, token.text)

        def end(run_id: str) -> None:
            with api.services.engine.begin() as connection:
                connection.execute(
                    text("UPDATE tasks SET state = 'CANCELED', finished_at = now() WHERE run_id = :id"),
                    {"id": run_id},
                )
                connection.execute(
                    text("UPDATE runs SET state = 'CANCELED', finished_at = now() WHERE id = :id"),
                    {"id": run_id},
                )
                connection.execute(
                    text(
                        "INSERT INTO events (at, run_id, event, from_state, to_state, service) "
                        "VALUES (now(), :id, 'cancel', 'PENDING', 'CANCELED', 'recorder')"
                    ),
                    {"id": run_id},
                )

        def leave(run_id: str) -> None:
            model = ArtifactRef(name="model", uri=api.services.store.put_bytes(b"weights"))
            outputs = Jsonb(encode(TaskOutputs(artifacts={"model": model})))
            with api.services.engine.begin() as connection:
                changed = connection.exec_driver_sql(
                    "UPDATE tasks SET outputs = %s WHERE run_id = %s AND path = %s", (outputs, run_id, TASK)
                )
                assert changed.rowcount == 1

        things = {team: Things(admin, team, end) for team in TEAMS}
        for team, has in things.items():
            has.made = {"run": has.run(), "ended": has.run(ended=True), "schedule": has.schedule()}
            leave(has.made["run"])
            assert (
                made(admin, Role.SUBMITTER, team, name=f"owner {team}")
                .ask("PUT", f"/v1/datasets/data-of-{team}", content=b"x,y\n1,2\n")
                .is_success
            )
        with api.services.engine.begin() as connection:
            insert_node(connection, "n1", Resources(millicores=1, memory_mib=1))
        holders = {role: made(admin, role, TEAMS[0]) for role in Role}
        yield World(api, admin, holders, things)


def cells() -> Iterator[Any]:
    for endpoint, access in ACCESS.items():
        for role in (None, *Role):
            for own in (True, False):
                whose = "own" if own else "other"
                if access.outcome(role, own=own) is Outcome.NO_WAY:
                    continue
                yield pytest.param(endpoint, access, role, own, id=f"{' '.join(endpoint)}-{role}-{whose}")


@pytest.mark.parametrize(("endpoint", "access", "role", "own"), list(cells()))
def test_each_cell_is_as_the_table_says(
    world: World, endpoint: Endpoint, access: Access, role: Role | None, own: bool
) -> None:
    team = TEAMS[0] if own else TEAMS[1]
    expected = access.outcome(role, own=own)
    answer = world.ask(endpoint, role, team)
    seen = outcome(endpoint, answer)
    if expected is Outcome.LEFT_OUT:
        assert seen is Outcome.ALLOWED
        assert TEAMS[1] not in answer.text
        assert world.things[TEAMS[1]].made["run"] not in answer.text
        return
    assert seen is expected, f"{answer.status_code}: {answer.text[:500]}"
    if access.scope is Scope.LIST and expected is Outcome.ALLOWED and endpoint[1] in NAMES_RUNS:
        assert f"of {team}" in answer.text


NAMES_RUNS = {"/v1/runs", "/v1/schedules", "/v1/queue"}


def outcome(endpoint: Endpoint, answer: httpx.Response) -> Outcome:
    if endpoint == ("POST", "/submit/") and answer.status_code == 415:
        # Who is let in is told that the form is missing.
        return Outcome.ALLOWED
    if answer.is_success:
        return Outcome.ALLOWED
    assert answer.headers["content-type"] == "application/problem+json"
    return Outcome(str(answer.status_code))


def test_lists_of_one_team_show_it_and_nothing_else(world: World) -> None:
    viewer = world.holders[Role.VIEWER]
    for path in ("/v1/runs", "/v1/queue", "/v1/reports/summary", "/v1/schedules"):
        assert viewer.ask("GET", path).status_code == 200
    ids = {run["team"] for run in viewer.ask("GET", "/v1/runs?limit=200").json()["items"]}
    assert ids == {TEAMS[0]}
    for path in ("/v1/runs", "/v1/schedules"):
        assert viewer.ask("GET", f"{path}?team={TEAMS[1]}").json()["items"] == []
        assert world.holders[Role.OPERATOR].ask("GET", f"{path}?team={TEAMS[1]}").json()["items"] != []
    of_others = viewer.ask("GET", f"/v1/reports/summary?team={TEAMS[1]}").json()
    assert sum(of_others["runs"].values()) == 0
    assert sum(viewer.ask("GET", "/v1/reports/summary").json()["runs"].values()) > 0


def test_what_is_anothers_answers_as_what_is_not_there(world: World) -> None:
    viewer = world.holders[Role.VIEWER]
    theirs, absent = world.things[TEAMS[1]].made["run"], "00000000-0000-4000-8000-000000000000"
    for path in (
        "",
        "/tasks",
        "/explain",
        "/events",
        f"/tasks/{TASK}/logs",
        f"/tasks/{TASK}/artifacts/model",
    ):
        answers = [viewer.ask("GET", f"/v1/runs/{run}{path}") for run in (theirs, absent)]
        assert [answer.status_code for answer in answers] == [404, 404]
        assert answers[0].text.replace(theirs, absent) == answers[1].text


def test_a_key_of_one_team_cannot_be_told_from_another_by_a_refused_change(world: World) -> None:
    submitter = world.holders[Role.SUBMITTER]
    theirs = world.things[TEAMS[1]].run()
    assert submitter.ask("POST", f"/v1/runs/{theirs}/cancel").status_code == 404
    assert world.admin.ask("GET", f"/v1/runs/{theirs}").json()["cancel_requested_at"] is None


def test_an_endpoint_without_an_entry_stops_the_gateway(
    shared_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def everything() -> str:
        return "for everybody"

    def with_a_new_one(app: FastAPI) -> None:
        add_pages(app)
        app.add_api_route("/v1/everything", everything)

    monkeypatch.setattr(gateway, "add_pages", with_a_new_one)
    with pytest.raises(LookupError, match=r"\('GET', '/v1/everything'\)"):
        create_api(shared_settings)


def test_the_table_has_each_endpoint_once_and_nothing_else(shared_settings: Settings) -> None:
    found = list(endpoints_of(create_api(shared_settings).routes))
    assert sorted(found) == sorted(ACCESS)


def test_the_page_shows_the_table() -> None:
    page = (ROOT / "docs" / "access.md").read_text(encoding="utf-8")
    shown = page.partition("<!-- python -m nodewise.api.access -->\n")[2].partition("\n<!-- end -->")[0]
    assert shown == table(), "python -m nodewise.api.access prints what belongs there"
