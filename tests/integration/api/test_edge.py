"""What the outermost layer does for every answer, and what no request gets past."""

from pathlib import Path
from urllib.parse import quote

import pytest

from nodewise.core.settings import Settings
from tests.integration.api.conftest import Api, running
from tests.support.keys import with_keys
from tests.support.pipelines import compiled

HOSTILE = "http://evil.example"
TRICKS = (
    "..%2f..%2f..%2fetc%2fpasswd", "..%252f..%252fetc%252fpasswd", "%2fetc%2fpasswd", "....//....//etc/passwd",
    "..%5c..%5cetc%5cpasswd", "%00", "train%00.txt", "%c0%ae%c0%ae%c0%af", "~root", "file:%2f%2f%2fetc%2fpasswd",
    "store:%2f%2f..%2f..%2fetc%2fpasswd", "%e2%80%ae", "a" * 4000,
)  # fmt: skip
PRIVATE = (
    "/v1/runs",
    "/v1/nodes",
    "/v1/queue",
    "/v1/datasets",
    "/openapi.json",
    "/docs",
    "/nowhere",
    "/healthz",
)


@pytest.mark.parametrize("path", PRIVATE)
def test_every_answer_keeps_browsers_from_guessing_framing_caching_and_telling(api: Api, path: str) -> None:
    headers = api.http.get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert "server" not in headers or "uvicorn" in headers["server"]


def test_a_page_runs_no_script_but_its_own(api: Api) -> None:
    for path in ("/docs", "/redoc"):
        policy = api.http.get(path).headers.get_list("content-security-policy")
        assert len(policy) == 1
        (scripts,) = [rule for rule in policy[0].split("; ") if rule.startswith("script-src")]
        assert "unsafe" not in scripts
        assert "http" not in policy[0]


@pytest.mark.parametrize("origin", [HOSTILE, "null", "http://localhost:1"])
def test_no_other_site_is_let_in_by_a_browser(api: Api, origin: str) -> None:
    asked = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization",
    }
    for answer in (
        api.http.options("/v1/runs", headers=asked),
        api.http.get("/v1/runs", headers={"Origin": origin}),
        api.http.post("/v1/runs", headers={"Origin": origin}, json={}),
    ):
        assert not [name for name in answer.headers if name.startswith("access-control-")]


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": HOSTILE},
        {"Origin": HOSTILE},
        {"Origin": "null"},
    ],
)
def test_a_page_of_another_site_changes_nothing_even_where_keys_are_off(
    api: Api, headers: dict[str, str]
) -> None:
    """A form or a script of any page can send these without asking first; the content type does not stop a multipart form."""
    run = api.accepted()
    for path in ("/v1/runs", "/submit/", f"/v1/runs/{run['id']}/cancel"):
        problem = api.refused(api.http.post(path, headers=headers), 403)
        assert problem["type"] == "urn:nodewise:problem:cross-site"
    assert api.http.get(f"/v1/runs/{run['id']}").json()["cancel_requested_at"] is None


def test_a_site_whose_name_points_here_reads_and_changes_nothing_where_keys_are_off(api: Api) -> None:
    run = api.accepted()
    port = api.http.base_url.port
    rebound = {"Host": f"hostile.example:{port}", "Origin": f"http://hostile.example:{port}", "Sec-Fetch-Site": "same-origin"}  # fmt: skip
    for answer in (
        api.http.get("/v1/runs", headers=rebound),
        api.http.get(f"/v1/runs/{run['id']}/events", headers=rebound),
        api.http.post("/v1/runs", headers=rebound, json={"pipeline_spec": compiled()}),
        api.http.post(f"/v1/runs/{run['id']}/cancel", headers=rebound),
    ):
        assert api.refused(answer, 403)["type"] == "urn:nodewise:problem:host-unknown"
    assert api.http.get("/healthz", headers=rebound).status_code == 200
    for own in (f"localhost:{port}", f"[::1]:{port}", "api:8080", "192.0.2.7"):
        assert api.http.get("/v1/runs", headers={"Host": own}).status_code == 200


def test_our_own_page_may_change_things(api: Api) -> None:
    body = {"pipeline_spec": compiled()}
    own = {"Origin": str(api.http.base_url).rstrip("/")}
    for headers in (
        own,
        {"Sec-Fetch-Site": "same-origin", "Origin": "http://behind.a.proxy"},
        {"Sec-Fetch-Site": "none"},
    ):
        assert api.http.post("/v1/runs", json=body, headers=headers).status_code == 202


@pytest.mark.parametrize("trick", TRICKS)
def test_no_path_of_a_request_reaches_the_file_system(api: Api, trick: str, tmp_path: Path) -> None:
    run = api.accepted()["id"]
    (tmp_path / "secret").write_text("root:x:0:0")
    for path in (
        f"/v1/runs/{run}/tasks/{trick}/logs", f"/v1/runs/{run}/tasks/train/artifacts/{trick}", f"/v1/runs/{trick}",
        f"/v1/runs/{run}/tasks/{trick}/artifacts/model", f"/v1/schedules/{trick}", f"/pipelines/{trick}",
        f"/docs/assets/{trick}", f"/{trick}", f"/v1/runs/{run}/{trick}", f"/v1/runs/{run}/explain?task={trick}",
    ):  # fmt: skip
        answer = api.http.get(path)
        assert answer.status_code in (404, 405, 422), f"{path}: {answer.status_code}"
        assert "root:" not in answer.text
        assert answer.headers["content-type"] == "application/problem+json"


def test_the_address_of_a_data_set_is_ours_whatever_it_is_called(api: Api, tmp_path: Path) -> None:
    for name in (quote("../../etc/cron.d/x", safe=""), "..", ".hidden", "a%2fb", "%00"):
        assert api.http.put(f"/v1/datasets/{name}", content=b"x").status_code in (404, 405, 422)
    stored = api.http.put("/v1/datasets/fine", content=b"x,y\n").json()
    assert stored["uri"].startswith("store://")
    assert not list(tmp_path.rglob("fine*"))


@pytest.mark.parametrize(
    ("method", "path", "sent"),
    [
        ("POST", "/v1/runs", "text/plain"),
        ("POST", "/v1/runs", "application/x-www-form-urlencoded"),
        ("POST", "/v1/runs", "application/yaml"),
        ("POST", "/v1/plans", "text/json"),
        ("POST", "/v1/schedules", "application/jsonp"),
        ("POST", "/v1/keys", "multipart/form-data"),
        ("POST", "/submit/", "application/json"),
    ],
)
def test_a_body_of_another_type_than_the_endpoint_takes_is_not_parsed(
    api: Api, method: str, path: str, sent: str
) -> None:
    bomb = b"a: &a [lol]\nb: &b [*a, *a]\n" * 10
    api.refused(api.http.request(method, path, content=bomb, headers={"Content-Type": sent}), 415)


def test_what_refuses_a_request_does_not_repeat_its_key(settings: Settings, tmp_path: Path) -> None:
    guarded, token = with_keys(settings, tmp_path)
    with running(guarded) as api:
        answer = api.http.get("/v1/runs", headers={"Authorization": f"Bearer {token.text}x"})
        assert answer.status_code == 401
        assert token.secret not in answer.text + str(answer.headers)
