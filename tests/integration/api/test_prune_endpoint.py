"""`POST /v1/prune` as a client meets it."""

import json
import os
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from sqlalchemy import Engine, text

from nodewise.core.store.marker import mark_cluster
from nodewise.sdk import Client
from tests.integration.api.conftest import Api

MONTH = 30 * 86_400
DAYS = timedelta(days=31)


def ended(engine: Engine, run_id: str) -> None:
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE runs SET state = 'SUCCEEDED', finished_at = now() WHERE id = :id"), {"id": run_id}
        )


def prune(api: Api, **body: Any) -> Any:
    return api.http.post("/v1/prune", json={"older_than_seconds": MONTH, **body})


def test_a_client_goes_on_until_all_is_done(api: Api, engine: Engine) -> None:
    old = [api.accepted()["id"] for _ in range(3)]
    for run_id in old:
        ended(engine, run_id)
    open_run = api.accepted()["id"]
    api.clock.ahead = DAYS
    api.services.store.write_key(f"logs/{old[0]}/train/1.txt", b"said")
    with Client(str(api.http.base_url)) as client:
        told = client.prune("30d", dry_run=True)
        assert len(list(client.runs())) == 4
        done = client.prune("30d")
        again = client.prune(timedelta(days=30))
        assert [run.id for run in client.runs()] == [open_run]
    assert told["removed"] == done["removed"]
    assert (done["removed"]["runs"], done["removed"]["tasks"], done["removed"]["log_files"]) == (3, 9, 1)
    assert set(again["removed"].values()) == {0}
    api.refused(api.http.get(f"/v1/runs/{old[0]}"), 404)


@pytest.mark.parametrize("seconds", [0, -1, 3599, 36_501 * 86_400, 1.5, "30d", None])
def test_nonsense_is_refused(api: Api, engine: Engine, seconds: object) -> None:
    ended(engine, api.accepted()["id"])
    assert api.fields(prune(api, older_than_seconds=seconds)) == ["body.older_than_seconds"]
    assert len(api.http.get("/v1/runs").json()["items"]) == 1


@pytest.mark.parametrize("cursor", ["", "x", "eyJ9", "WzEsMiwzXQ", "A" * 301])
def test_a_cursor_of_nobody_is_refused(api: Api, cursor: str) -> None:
    answer = prune(api, cursor=cursor)
    if cursor:
        assert api.fields(answer) == ["body.cursor"]
    else:
        assert answer.status_code == 200


def test_a_cursor_does_not_reach_further_than_its_request(api: Api) -> None:
    cursor = prune(api, older_than_seconds=3600).json()["next_cursor"]
    assert api.fields(prune(api, cursor=cursor)) == ["body.cursor"]


def test_the_store_of_another_cluster_is_not_swept(api: Api, store_url: str) -> None:
    mark_cluster(api.services.store, api.services.redis)
    folder = Path(urlsplit(store_url).path)
    uri = api.services.store.put_bytes(b"theirs")
    theirs = next(folder.glob("file/*/" + uri.rpartition("/")[2]))
    os.utime(theirs, (0, 0))
    api.services.redis.set("nodewise:cluster_id", "another")
    answer, cursor = prune(api), None
    while answer.status_code == 200:
        cursor = answer.json()["next_cursor"]
        answer = prune(api, cursor=cursor)
    assert "another cluster's" in api.refused(answer, 409)["detail"]
    assert theirs.exists()
    mark_cluster(api.services.store, api.services.redis)
    while cursor:
        cursor = prune(api, cursor=cursor).json()["next_cursor"]
    assert not theirs.exists()


def test_a_data_set_that_is_replaced_stays_for_those_who_were_sent_to_it(api: Api, store_url: str) -> None:
    folder = Path(urlsplit(store_url).path)

    def put(content: bytes) -> str:
        answer = api.http.put(
            "/v1/datasets/numbers",
            params={"kind": "tabular"},
            content=content,
            headers={"Content-Type": "application/octet-stream"},
        )
        return str(answer.json()["uri"])

    first = put(b"1,2\n")
    place = next(folder.glob("file/*/" + first.rpartition("/")[2]))
    os.utime(place, (0, 0))
    put(b"3,4\n")
    with Client(str(api.http.base_url)) as client:
        client.prune("1h")
        assert place.exists()
        api.clock.ahead = timedelta(days=2)
        client.prune("1h")
    assert not place.exists()


def test_several_at_once_do_it_together(api: Api, engine: Engine) -> None:
    for _ in range(30):
        ended(engine, api.accepted()["id"])
    api.clock.ahead = DAYS
    found: list[int] = []

    def one() -> None:
        with Client(str(api.http.base_url)) as client:
            found.append(client.prune("30d")["removed"]["runs"])

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(found) == 30
    assert json.loads(api.http.get("/v1/runs").text)["items"] == []
