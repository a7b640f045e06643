"""API keys: who gets in, who does not, and until when."""

import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text

from nodewise.api.access import ACCESS
from nodewise.api.auth import keyring
from nodewise.core.model.role import Role
from nodewise.core.settings import Settings
from nodewise.core.tokens import new_token
from tests.integration.api.conftest import Api, running
from tests.support.keys import WELL_FORMED, Holder, bearer, made, with_keys
from tests.support.pipelines import compiled
from tests.support.waiting import wait_until


@pytest.fixture
def guarded(settings: Settings, tmp_path: Path) -> Iterator[tuple[Api, Holder]]:
    """A gateway that wants keys, and its admin."""
    guarded, token = with_keys(settings, tmp_path)
    with running(guarded) as api:
        yield api, Holder(api.http, token.text)


def refusal(answer: httpx.Response, status: int, kind: str) -> str:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == f"urn:nodewise:problem:{kind}"
    return str(answer.json()["detail"])


def test_without_a_key_one_is_asked_for(guarded: tuple[Api, Holder]) -> None:
    api, _ = guarded
    answer = api.http.get("/v1/runs")
    assert "NODEWISE_API_KEY" in refusal(answer, 401, "key-missing")
    assert answer.headers["www-authenticate"] == 'Bearer realm="nodewise"'


@pytest.mark.parametrize(
    "header",
    [
        "Bearer", "Bearer nw_", "Bearer nw_0123_short", f"Basic {WELL_FORMED}", WELL_FORMED,
        f"Bearer {WELL_FORMED} {WELL_FORMED}", f"Bearer {WELL_FORMED.upper()}", "Bearer \xff",
        "Bearer " + "x" * 5000, f"Bearer nw_{'0' * 32}_{'a' * 42}", f"Bearer nw_{'0' * 32}_{'a' * 43}'--",
    ],
)  # fmt: skip
def test_what_is_no_key_is_refused_without_a_look_at_the_database(
    guarded: tuple[Api, Holder], header: str
) -> None:
    api, _ = guarded
    answer = api.http.get("/v1/runs", headers={"Authorization": header.encode("latin-1")})
    assert "holds no API key" in refusal(answer, 401, "key-refused")
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]


def test_a_key_that_nobody_made_and_a_wrong_secret_are_refused_alike(guarded: tuple[Api, Holder]) -> None:
    api, admin = guarded
    holder = made(admin, Role.VIEWER, "vision")
    wrong = holder.key[:-8] + "AAAAAAAA"
    said = {
        refusal(api.http.get("/v1/runs", headers=bearer(key)), 401, "key-refused")
        for key in (new_token().text, wrong)
    }
    assert said == {"there is no such API key"}


def test_a_key_is_shown_once_and_only_a_digest_is_kept(guarded: tuple[Api, Holder]) -> None:
    api, admin = guarded
    holder = made(admin, Role.SUBMITTER, "vision", expires_in_seconds=3600)
    assert holder.ask("GET", "/v1/runs").status_code == 200
    listed = admin.ask("GET", "/v1/keys").json()["items"]
    assert [(one["name"], one["role"], one["team"]) for one in listed] == [
        ("submitter of vision", "submitter", "vision")
    ]
    secret = holder.key.rsplit("_", 1)[-1]
    with api.services.engine.connect() as connection:
        rows = connection.execute(text("SELECT to_jsonb(k)::text FROM api_keys AS k")).scalars().all()
    assert secret not in str(listed) + str(rows)
    assert "secret_hash" not in str(listed)


def test_an_expired_key_is_refused_and_says_so(guarded: tuple[Api, Holder]) -> None:
    api, admin = guarded
    holder = made(admin, Role.VIEWER, "vision", expires_in_seconds=60)
    assert holder.ask("GET", "/v1/runs").status_code == 200
    api.clock.ahead = timedelta(seconds=61)
    assert "expired at" in refusal(holder.ask("GET", "/v1/runs"), 401, "key-refused")


def test_a_revoked_key_is_refused_at_once_here_and_soon_elsewhere(
    guarded: tuple[Api, Holder], settings: Settings, tmp_path: Path
) -> None:
    _, admin = guarded
    other_settings, _ = with_keys(settings, tmp_path)
    with running(other_settings) as other:
        holder = made(admin, Role.VIEWER, "vision")
        elsewhere = Holder(other.http, holder.key)
        assert holder.ask("GET", "/v1/runs").status_code == 200
        assert elsewhere.ask("GET", "/v1/runs").status_code == 200
        assert admin.ask("DELETE", f"/v1/keys/{holder.id}").status_code == 204
        assert "was revoked at" in refusal(holder.ask("GET", "/v1/runs"), 401, "key-refused")
        began = time.monotonic()
        wait_until(
            lambda: elsewhere.ask("GET", "/v1/runs").status_code == 401, 30, "the other gateway to know"
        )
        assert time.monotonic() - began < keyring.REMEMBERED_SECONDS + 3
    assert admin.ask("DELETE", f"/v1/keys/{holder.id}").status_code == 204, "twice is fine"
    assert [one["id"] for one in admin.ask("GET", "/v1/keys?revoked=true").json()["items"]] == [holder.id]


def test_a_stream_of_events_ends_with_its_key(guarded: tuple[Api, Holder]) -> None:
    api, admin = guarded
    holder = made(admin, Role.SUBMITTER, "vision")
    run = holder.ask("POST", "/v1/runs", json={"pipeline_spec": compiled()}).json()
    with api.http.stream("GET", f"/v1/runs/{run['id']}/events", headers=bearer(holder.key)) as answer:
        lines = answer.iter_lines()
        assert next(lines).startswith("id:")
        assert admin.ask("DELETE", f"/v1/keys/{holder.id}").status_code == 204
        for _ in lines:
            pass


def test_no_endpoint_lets_anybody_in_with_a_bad_key(guarded: tuple[Api, Holder]) -> None:
    api, admin = guarded
    expired = made(admin, Role.ADMIN, "default", name="expired", expires_in_seconds=1)
    revoked = made(admin, Role.ADMIN, "default", name="revoked")
    assert admin.ask("DELETE", f"/v1/keys/{revoked.id}").status_code == 204
    api.clock.ahead = timedelta(seconds=2)
    bad = {"none": {}} | {
        name: bearer(key)
        for name, key in {
            "expired": expired.key, "revoked": revoked.key, "unknown": new_token().text, "malformed": "nw_x",
        }.items()
    }  # fmt: skip
    for (method, path), access in ACCESS.items():
        if access.least is None:
            continue
        for name, headers in bad.items():
            answer = api.http.request(method, path, headers=headers)
            assert answer.status_code == 401, f"{method} {path} with {name} key: {answer.status_code}"
            assert answer.headers["www-authenticate"].startswith("Bearer")


def test_public_endpoints_need_no_key(guarded: tuple[Api, Holder]) -> None:
    api, _ = guarded
    public = {path for (_, path), access in ACCESS.items() if access.least is None}
    assert public == {"/healthz", "/readyz", "/metrics", "/openapi.json", "/docs", "/docs/assets", "/redoc"}
    for path in public - {"/docs/assets"}:
        assert api.http.get(path).status_code == 200, path
    assert api.http.get("/docs/assets/swagger-ui.css").status_code == 200


def test_two_keys_cannot_have_one_name_until_the_first_is_revoked(guarded: tuple[Api, Holder]) -> None:
    _, admin = guarded
    first = made(admin, Role.VIEWER, "a", name="ci")
    again = admin.ask("POST", "/v1/keys", json={"name": "ci", "role": "viewer"})
    assert "'ci'" in refusal(again, 409, "conflict")
    assert admin.ask("DELETE", f"/v1/keys/{first.id}").status_code == 204
    assert made(admin, Role.VIEWER, "a", name="ci").id != first.id


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": "a", "role": "root"}, "body.role"),
        ({"name": "", "role": "viewer"}, "body.name"),
        ({"name": "a\nb", "role": "viewer"}, "body.name"),
        ({"name": "a", "role": "viewer", "team": " a"}, "body.team"),
        ({"name": "a", "role": "viewer", "expires_in_seconds": 0}, "body.expires_in_seconds"),
        ({"name": "a", "role": "viewer", "expires_in_seconds": 10**30}, "body.expires_in_seconds"),
        ({"name": "a", "role": "viewer", "key": "mine"}, "body.key"),
    ],
)
def test_what_makes_no_key_is_refused(
    guarded: tuple[Api, Holder], body: dict[str, object], field: str
) -> None:
    api, admin = guarded
    assert api.fields(admin.ask("POST", "/v1/keys", json=body)) == [field]


def test_keys_are_listed_page_by_page(guarded: tuple[Api, Holder]) -> None:
    _, admin = guarded
    names = [made(admin, Role.VIEWER, "a", name=f"k{number}") and f"k{number}" for number in range(5)]
    found, cursor = [], ""
    while cursor is not None:
        page = admin.ask("GET", f"/v1/keys?limit=2{cursor and '&cursor=' + cursor}").json()
        found += [one["name"] for one in page["items"]]
        cursor = page["next_cursor"]
    assert found == names[::-1]


def test_that_a_key_was_used_is_noted_now_and_then(guarded: tuple[Api, Holder]) -> None:
    api, admin = guarded
    holder = made(admin, Role.VIEWER, "a")
    assert admin.ask("GET", "/v1/keys").json()["items"][0]["last_used_at"] is None
    holder.ask("GET", "/v1/runs")
    first = admin.ask("GET", "/v1/keys").json()["items"][0]["last_used_at"]
    assert first is not None
    api.services.guard.keyring.forget(holder.id)
    holder.ask("GET", "/v1/runs")
    assert admin.ask("GET", "/v1/keys").json()["items"][0]["last_used_at"] == first
    api.clock.ahead = timedelta(minutes=11)
    api.services.guard.keyring.forget(holder.id)
    holder.ask("GET", "/v1/runs")
    assert admin.ask("GET", "/v1/keys").json()["items"][0]["last_used_at"] > first


def test_who_holds_a_key_can_be_asked(guarded: tuple[Api, Holder]) -> None:
    _, admin = guarded
    assert made(admin, Role.SUBMITTER, "vision").ask("GET", "/v1/whoami").json() == {
        "name": "submitter of vision", "role": "submitter", "team": "vision", "sees_all_teams": False,
    }  # fmt: skip


def test_a_large_body_of_nobody_is_not_kept_and_the_refusal_arrives(guarded: tuple[Api, Holder]) -> None:
    api, _ = guarded
    answer = api.http.post(
        "/v1/runs", content=b"x" * (3 * 1024**2), headers={"Content-Type": "application/json"}
    )
    refusal(answer, 401, "key-missing")


def test_mlopx_gets_in_without_a_key_only_where_a_team_is_named_for_it(
    settings: Settings, tmp_path: Path
) -> None:
    run = "00000000-0000-4000-8000-000000000000"
    closed, _ = with_keys(settings, tmp_path)
    with running(closed) as api:
        refusal(api.http.post("/submit/", data={"name": "a"}), 401, "key-missing")
    with running(closed.model_copy(update={"mlopx_team": "seed"})) as api:
        assert api.http.post("/submit/", files={"name": b"a"}).status_code == 422
        assert api.http.get(f"/pipelines/{run}").status_code == 404
        rebound = {"Host": "hostile.example"}
        refusal(api.http.get(f"/pipelines/{run}", headers=rebound), 403, "host-unknown")
        refusal(api.http.get(f"/v1/runs/{run}"), 401, "key-missing")
        refusal(api.http.get(f"/pipelines/{run}", headers=bearer("nw_x")), 401, "key-refused")


def test_each_key_may_ask_so_often_and_is_told_when_again(settings: Settings, tmp_path: Path) -> None:
    limited, token = with_keys(settings, tmp_path, rate_per_second=0.01, rate_burst=3)
    with running(limited) as api:
        admin = Holder(api.http, token.text)
        eager, calm = made(admin, Role.VIEWER, "a", name="eager"), made(admin, Role.VIEWER, "a", name="calm")
        assert [eager.ask("GET", "/v1/whoami").status_code for _ in range(4)] == [200, 200, 200, 429]
        answer = eager.ask("GET", "/v1/whoami")
        assert "'eager' may make 0.01 requests a second" in refusal(answer, 429, "rate-limited")
        assert 90 <= int(answer.headers["retry-after"]) <= 100
        assert calm.ask("GET", "/v1/whoami").status_code == 200
        assert {admin.ask("GET", "/v1/whoami").status_code for _ in range(8)} == {200}
