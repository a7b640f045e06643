"""Whatever is sent: an answer that says what is wrong, never a 500."""

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
from tests.support.pipelines import compiled

JSON = {"content-type": "application/json"}


def post(api: Api, content: bytes | Iterator[bytes], headers: dict[str, str] | None = None) -> httpx.Response:
    return api.http.post("/v1/runs", content=content, headers=JSON if headers is None else headers)


def with_name(raw: str) -> bytes:
    return f'{{"name": {raw}, "pipeline_spec": {json.dumps(compiled())}}}'.encode()


@pytest.mark.parametrize("media_type", ["text/plain", "application/yaml", "multipart/form-data", ""])
def test_another_content_type_is_refused(api: Api, media_type: str) -> None:
    api.refused(post(api, b"{}", {"content-type": media_type}), 415)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"nonsense",
        b"\xff\xfe{\x00}",
        b'{"name": NaN}',
        b'{"name": -Infinity}',
        b'{"name": 1e999}',
        b'{"name": ' + b"9" * 5000 + b"}",
    ],
)
def test_what_is_no_json_is_a_bad_request(api: Api, content: bytes) -> None:
    api.refused(post(api, content), 400)


@pytest.mark.parametrize(
    "content",
    [
        b"[]",
        b"null",
        b'"text"',
        b"[" * 100_000 + b"]" * 100_000,
        b'{"parameters": ' + b'{"a":' * 100 + b"1" + b"}" * 100 + b"}",
        with_name('"a\\u0000b"'),
        with_name('"\\ud800"'),
        with_name("9" * 400),
        b'{"pipeline_spec": {}, "labels": {"\\u0000": "x"}}',
    ],
)
def test_what_breaks_a_rule_is_unprocessable(api: Api, content: bytes) -> None:
    api.refused(post(api, content), 422)


@pytest.mark.parametrize("number", ["9" * 400, "-1e300", "1e-400", "18446744073709551616"])
def test_extreme_numbers_in_parameters_are_no_error_of_ours(api: Api, number: str) -> None:
    spec = compiled(parameters={"x": {"parameterType": "NUMBER_DOUBLE"}})
    content = f'{{"parameters": {{"x": {number}}}, "pipeline_spec": {json.dumps(spec)}}}'.encode()
    assert post(api, content).status_code in {202, 422}


def test_a_body_over_the_limit_is_refused_by_its_declared_length(api: Api) -> None:
    problem = api.refused(post(api, b" " * (1024**2 + 1)), 413)
    assert "1 MiB" in problem["detail"]


def test_a_body_over_the_limit_is_refused_by_what_really_comes(api: Api) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(40):
            yield b" " * 65536

    api.refused(post(api, chunks()), 413)


def test_a_body_just_under_the_limit_is_read(api: Api) -> None:
    api.refused(post(api, b" " * 1024**2), 400)


@pytest.mark.parametrize("key", ["", "a b", "x" * 201, "ä"])
def test_a_bad_idempotency_key_is_refused(api: Api, key: str) -> None:
    headers = {**JSON, "Idempotency-Key": key.encode("latin-1")}
    answer = api.http.post("/v1/runs", content=with_name('"x"'), headers=headers)  # type: ignore[arg-type]
    assert api.fields(answer) == ["header.Idempotency-Key"]


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec=None), max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=20,
)
field_names = st.sampled_from(
    ["pipeline_spec", "platform_spec", "parameters", "name", "policy", "strategy", "priority", "deadline",
     "team", "labels"]
)  # fmt: skip
bodies = json_values | st.dictionaries(field_names, json_values, max_size=6)


def paths(value: Any, here: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield here
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from paths(inner, (*here, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from paths(inner, (*here, index))


def replaced(value: Any, path: tuple[Any, ...], by: Any) -> Any:
    if not path:
        return by
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(value[path[0]], path[1:], by)
    return copy


VALID: dict[str, Any] = {
    "pipeline_spec": compiled(),
    "platform_spec": {
        "platforms": {
            "nodewise": {
                "pipelineConfig": {"priority": 1, "deadlineSeconds": 60, "team": "t"},
                "deploymentSpec": {
                    "executors": {
                        "exec-train": {
                            "kind": "training",
                            "dataset": {"name": "d", "samples": 10, "features": 3, "types": {"float64": 3}},
                            "model": {"type": "svm", "parameters": {"kernel": "rbf"}},
                        }
                    }
                },
            }
        }
    },
    "labels": {"a": "b"},
}


def check(answer: httpx.Response) -> None:
    if answer.status_code == 202:
        return
    assert 400 <= answer.status_code < 500, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


fuzz = hypothesis_settings(
    max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@fuzz
@given(body=bodies)
def test_any_json_is_accepted_or_refused(api: Api, body: Any) -> None:
    check(post(api, json.dumps(body).encode()))


@fuzz
@given(data=st.data())
def test_a_valid_body_with_anything_in_one_place_is_accepted_or_refused(
    api: Api, data: st.DataObject
) -> None:
    place = data.draw(st.sampled_from(list(paths(VALID))))
    body = replaced(VALID, place, data.draw(json_values))
    check(post(api, json.dumps(body).encode()))
