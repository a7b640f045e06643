"""The seed's two endpoints as any client may use them: forms of every kind, limits, and answers in the seed's shape."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.integration.api.conftest import Api
from tests.support.examples import examples
from tests.support.mlopx_scripts import COMPONENTS, LINEAR, SCRIPT

Files = list[tuple[str, tuple[str, bytes]]]


def form(
    *, script: str = SCRIPT, metadata: str | None = None, components: dict[str, str] | None = None
) -> Files:
    texts = COMPONENTS if components is None else components
    return [
        *(("components", (f"{name}.py", text.encode())) for name, text in texts.items()),
        ("metadata", ("metadata.json", (metadata or json.dumps(LINEAR)).encode())),
        ("pipeline", ("pipeline.py", script.encode())),
    ]


def submit(api: Api, files: Files | None = None, *, name: str | None = "line_lr") -> httpx.Response:
    data = {} if name is None else {"name": name}
    return api.http.post("/submit/", files=form() if files is None else files, data=data)


def test_a_pipeline_becomes_a_run_and_the_answer_is_the_seeds(api: Api) -> None:
    answer = submit(api)
    assert answer.status_code == 200, answer.text
    accepted = answer.json()
    assert accepted["status"] == "success"
    assert set(accepted) == {"status", "message", "pipeline_id", "notes"}
    run = api.http.get(f"/v1/runs/{accepted['pipeline_id']}").json()
    assert (run["name"], run["pipeline"], run["tasks"]["total"]) == ("line_lr", "line-lr", 3)
    tasks = {task["path"]: task for task in api.http.get(f"/v1/runs/{run['id']}/tasks").json()["items"]}
    assert tasks["model-evaluation"]["upstream"] == ["data-preprocessing", "model-training"]
    assert tasks["model-training"]["task_class"] == "training/linear_regression"
    assert tasks["model-training"]["effort_flops"] == 2 * 320 * 2**2


def test_a_pipeline_is_shown_as_the_seed_shows_it(api: Api) -> None:
    pipeline_id = submit(api).json()["pipeline_id"]
    shown = api.http.get(f"/pipelines/{pipeline_id}").json()
    assert set(shown) == {
        "id", "name", "kfp_id", "state", "submitted_at", "scheduled_at", "finished_at", "duration", "components",
    }  # fmt: skip
    assert (shown["id"], shown["name"], shown["state"]) == (pipeline_id, "line_lr", "PENDING")
    assert list(shown["components"]) == ["data-preprocessing", "model-training", "model-evaluation"]
    assert shown["components"]["model-training"] == {
        "name": "model-training", "type": "training", "state": "WAITING", "node": None, "platform": None,
        "start_time": None, "end_time": None, "duration": None,
    }  # fmt: skip


@pytest.mark.parametrize("pipeline_id", ["x", "0b8d5a0e-6a1f-4c1e-9d53-2f6f6f1c7a11", "%00", "1" * 300])
def test_a_pipeline_that_is_none_is_not_found(api: Api, pipeline_id: str) -> None:
    api.refused(api.http.get(f"/pipelines/{pipeline_id}"), 404)


def test_a_refusal_names_the_part_the_line_and_the_reason(api: Api) -> None:
    loop = "from mlopx.pipelines import Component\nfor n in range(3):\n    Component('i', f)\n"
    problem = api.refused(submit(api, form(script=loop)), 422)
    assert problem["type"] == "urn:nodewise:problem:unreadable-script"
    (fault,) = problem["errors"]
    assert fault["field"] == "body.pipeline"
    assert "pipeline.py, line 3" in fault["rule"]
    broken = {**COMPONENTS, "model_training": "@d\ndef model_training():\n    pass\n"}
    (fault,) = api.refused(submit(api, form(components=broken)), 422)["errors"]
    assert fault["field"] == "body.components"
    assert "model_training.py, line 1" in fault["rule"]
    (fault,) = api.refused(submit(api, form(metadata="[]")), 422)["errors"]
    assert fault["field"] == "body.metadata"
    assert api.http.get("/v1/runs").json()["items"] == []


def test_a_data_set_that_is_neither_registered_nor_described_is_refused(api: Api) -> None:
    elsewhere = SCRIPT.replace("/mnt/datasets/line/", "/mnt/datasets/elsewhere/")
    (fault,) = api.refused(submit(api, form(script=elsewhere)), 422)["errors"]
    assert "'elsewhere'" in fault["rule"]
    api.http.put("/v1/datasets/elsewhere", content=b"x,y\n1,2\n").raise_for_status()
    assert submit(api, form(script=elsewhere)).status_code == 200


@pytest.mark.parametrize("left_out", ["components", "metadata", "pipeline"])
def test_a_part_that_is_missing_is_named(api: Api, left_out: str) -> None:
    files = [part for part in form() if part[0] != left_out]
    assert api.fields(submit(api, files)) == [f"body.{left_out}"]


def test_the_name_is_a_field_and_each_file_comes_once(api: Api) -> None:
    assert api.fields(submit(api, name=None)) == ["body.name"]
    assert api.fields(submit(api, [*form(), ("name", ("n", b"n"))], name=None)) == ["body.name"]
    assert api.fields(submit(api, [*form(), ("pipeline", ("p", b""))])) == ["body.pipeline"]
    assert api.fields(submit(api, name="")) == ["body.pipeline"]


@pytest.mark.parametrize(
    "media_type", ["application/json", "application/x-www-form-urlencoded", "", "multipart/mixed"]
)
def test_another_content_type_is_refused(api: Api, media_type: str) -> None:
    answer = api.http.post("/submit/", content=b"{}", headers={"content-type": media_type})
    api.refused(answer, 415)


@pytest.mark.parametrize(
    ("content_type", "content"),
    [
        ("multipart/form-data", b"x"),
        ("multipart/form-data; boundary=b", b"x"),
        ("multipart/form-data; boundary=b", b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n"),
        ("multipart/form-data; boundary=b", b"--b\r\n" + b"X: " + b"y" * 100_000 + b"\r\n\r\nx\r\n--b--\r\n"),
        ("multipart/form-data; boundary=" + "b" * 5000, b"x"),
        (
            "multipart/form-data; boundary=b; charset=hex",
            b'--b\r\nContent-Disposition: form-data; name="name"\r\n\r\nzz\r\n--b--\r\n',
        ),
    ],
)
def test_a_malformed_form_is_a_bad_request(api: Api, content_type: str, content: bytes) -> None:
    answer = api.http.post("/submit/", content=content, headers={"content-type": content_type})
    assert answer.status_code in {400, 422}, answer.text
    api.refused(answer, answer.status_code)


def test_too_many_files_and_fields_are_refused(api: Api) -> None:
    many: Files = [("components", (f"c{n}.py", b"def c(): pass")) for n in range(70)]
    assert "files" in api.refused(submit(api, [*form(), *many]), 400)["detail"]
    crowded = api.http.post("/submit/", files=form(), data={"name": "p", **{f"x{n}": "y" for n in range(20)}})
    assert "fields" in api.refused(crowded, 400)["detail"]
    api.refused(submit(api, name="x" * 20_000), 400)


def test_a_body_over_the_limit_is_refused_by_its_length_and_by_what_comes(api: Api) -> None:
    large = form(metadata="x" * 1_200_000)
    api.refused(submit(api, large), 413)

    def chunks() -> Iterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="pipeline"; filename="p"\r\n\r\n'
        for _ in range(40):
            yield b"x" * 65_536

    headers = {"content-type": "multipart/form-data; boundary=b"}
    api.refused(api.http.post("/submit/", content=chunks(), headers=headers), 413)


ANY_BYTES = st.binary(max_size=300)


@given(
    content=st.one_of(ANY_BYTES, ANY_BYTES.map(lambda raw: b"--b\r\n" + raw + b"\r\n--b--\r\n")),
    parts=st.lists(
        st.tuples(
            st.sampled_from(["components", "pipeline", "metadata", "name", "x"]),
            st.text(max_size=20),
            ANY_BYTES,
        ),
        max_size=6,
    ),
)
@hypothesis_settings(max_examples=examples(60), suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_comes_there_is_an_answer_below_500(api: Api, content: bytes, parts: list[Any]) -> None:
    raw = api.http.post(
        "/submit/", content=content, headers={"content-type": "multipart/form-data; boundary=b"}
    )
    assert raw.status_code < 500
    files = [(name, (file, data)) for name, file, data in parts]
    made = api.http.post("/submit/", files=files or None, data={"name": "p"})
    assert made.status_code < 500


def test_the_endpoints_are_documented(api: Api) -> None:
    paths = api.http.get("/openapi.json").json()["paths"]
    body = paths["/submit/"]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert set(body["required"]) == {"name", "components", "pipeline", "metadata"}
    assert "/pipelines/{run_id}" in paths
