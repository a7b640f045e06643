"""GET /v1/runs/{id}/events: every event once, from where the client left off, until the last."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, insert, select

from nodewise.core.db import schema
from nodewise.core.db.queries.moves import move_run
from nodewise.core.lifecycle import RunEvent, RunState
from nodewise.core.model.ids import RunId
from tests.integration.api.conftest import Api
from tests.support.waiting import wait_until


def messages(answer: httpx.Response) -> Iterator[dict[str, str]]:
    """The messages of a stream, as the standard reads them."""
    message: dict[str, str] = {}
    for line in answer.iter_lines():
        if not line and message:
            yield message
            message = {}
        elif line and not line.startswith(":"):
            name, _, value = line.partition(": ")
            message[name] = value


def read_all(api: Api, run_id: str, headers: dict[str, str] | None = None) -> list[dict[str, str]]:
    with api.http.stream("GET", f"/v1/runs/{run_id}/events", headers=headers or {}) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        return list(messages(answer))


def finish(engine: Engine, run_id: str) -> None:
    with engine.begin() as connection:
        now = datetime.now(UTC)
        move_run(connection, RunId(run_id), RunState.PENDING, RunEvent.START, at=now)
        move_run(connection, RunId(run_id), RunState.RUNNING, RunEvent.SUCCEED, at=now)


def events_of(engine: Engine) -> list[Any]:
    with engine.connect() as connection:
        return list(connection.execute(select(schema.events).order_by(schema.events.c.id)).mappings())


def test_a_stream_tells_everything_and_ends_with_the_run(api: Api, engine: Engine) -> None:
    run = api.accepted()
    finish(engine, run["id"])
    told = read_all(api, run["id"])
    assert [message["event"] for message in told] == ["run", "task", "task", "task", "run", "run"]
    assert [int(message["id"]) for message in told] == [row["id"] for row in events_of(engine)]
    last = json.loads(told[-1]["data"])
    assert (last["to_state"], last["path"], last["run_id"]) == ("SUCCEEDED", None, run["id"])
    assert last["at"].endswith("Z")


def test_a_stream_follows_a_run_while_it_goes_on(api: Api, engine: Engine) -> None:
    run = api.accepted()
    with api.http.stream("GET", f"/v1/runs/{run['id']}/events") as answer:
        stream = messages(answer)
        told = [next(stream) for _ in range(4)]
        finish(engine, run["id"])
        told += stream
    assert len(told) == 6
    assert len({message["id"] for message in told}) == 6


def test_a_stream_resumes_behind_the_last_event(api: Api, engine: Engine) -> None:
    run = api.accepted()
    finish(engine, run["id"])
    whole = read_all(api, run["id"])
    assert read_all(api, run["id"], {"Last-Event-ID": whole[2]["id"]}) == whole[3:]
    assert read_all(api, run["id"], {"Last-Event-ID": whole[-1]["id"]}) == []


def test_an_event_that_appears_behind_a_later_one_is_told(api: Api, engine: Engine) -> None:
    run = api.accepted()
    late = {"run_id": run["id"], "event": "late", "to_state": "READY", "service": "test", "path": "train"}
    with engine.connect() as slow, api.http.stream("GET", f"/v1/runs/{run['id']}/events") as answer:
        held = slow.begin()
        slow.execute(insert(schema.events).values(late))
        with engine.begin() as connection:
            connection.execute(insert(schema.events).values(late | {"event": "early"}))
        stream = messages(answer)
        told = [next(stream) for _ in range(5)]
        assert json.loads(told[-1]["data"])["event"] == "early"
        held.commit()
        assert json.loads(next(stream)["data"])["event"] == "late"


@pytest.mark.parametrize("last", ["x", "-1", "1.5", "9" * 30, "٣"])
def test_a_last_event_id_that_is_none_is_refused(api: Api, last: str) -> None:
    run = api.accepted()
    answer = api.http.get(f"/v1/runs/{run['id']}/events", headers=[(b"Last-Event-ID", last.encode())])
    assert api.fields(answer) == ["header.Last-Event-ID"]


def test_so_many_streams_at_a_time_and_no_more(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    run = api.accepted()
    monkeypatch.setattr(api.services.streams, "most", 2)
    path = f"/v1/runs/{run['id']}/events"
    with api.http.stream("GET", path) as first, api.http.stream("GET", path) as second:
        # Kept, since a reader that is thrown away closes its stream.
        readers = [messages(first), messages(second)]
        assert [next(reader)["event"] for reader in readers] == ["run", "run"]
        refused = api.http.get(path)
        assert refused.status_code == 429
        assert refused.json()["type"] == "urn:nodewise:problem:too-many-streams"
        assert refused.headers["retry-after"] == "5"
    wait_until(
        lambda: api.services.streams.has_room("everybody"), 20, "the streams that were left to be closed"
    )
