"""GET /v1/audit."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine, text

from tests.integration.api.conftest import Api

CLEAN = {"findings_total": 0, "findings": [], "next_cursor": None}


def test_an_audit_of_nothing_finds_nothing(api: Api) -> None:
    answer = api.http.get("/v1/audit")
    assert answer.status_code == 200, answer.text
    body = answer.json()
    since = datetime.fromisoformat(body.pop("since"))
    assert timedelta(hours=23, minutes=59) < datetime.now(UTC) - since < timedelta(hours=24, minutes=1)
    counts = {"runs": 0, "tasks": 0, "attempts": 0, "events": 0, "bookings": 0, "nodes": 0}
    assert body == counts | CLEAN


def test_a_finding_says_what_it_is_about(api: Api, engine: Engine) -> None:
    run = api.accepted()
    assert api.http.get("/v1/audit").json()["findings"] == []
    with engine.begin() as connection:
        done = text("UPDATE tasks SET state = 'SUCCEEDED' WHERE run_id = :id AND ordinal = 0 RETURNING path")
        path = connection.execute(done, {"id": run["id"]}).scalar_one()
    body = api.http.get("/v1/audit").json()
    assert (body["runs"], body["tasks"], body["findings_total"]) == (1, 3, len(body["findings"]))
    assert {(f["check"], f["run_id"], f["path"]) for f in body["findings"]} == {
        ("known_transitions", run["id"], path),
        ("counted_once", run["id"], path),
    }


def test_pages_follow_each_other(api: Api) -> None:
    ids = [api.accepted()["id"] for _ in range(3)]
    seen, cursor = 0, None
    for _ in ids:
        page = api.http.get("/v1/audit", params={"limit": 1, **({"cursor": cursor} if cursor else {})}).json()
        seen, cursor = seen + page["runs"], page["next_cursor"]
    assert (seen, cursor) == (3, None)


def test_since_leaves_out_what_is_older(api: Api) -> None:
    api.accepted()
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    assert api.http.get("/v1/audit", params={"since": later}).json()["runs"] == 0


def test_what_is_no_question_is_refused(api: Api) -> None:
    for name, value in (
        ("since", "yesterday"),
        ("since", "2026-01-01T00:00:00"),
        ("since", "0001-01-01T00:00:00+14:00"),
        ("limit", "0"),
        ("limit", "1001"),
        ("cursor", "x"),
        ("until", "now"),
    ):
        fields = api.fields(api.http.get("/v1/audit", params={name: value}))
        assert fields == [f"query.{name}"], (name, value)
