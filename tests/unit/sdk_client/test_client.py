"""The client against the API in memory."""

import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from kfp import compiler, dsl

from nodewise.sdk import Client, CompiledPipeline
from nodewise.sdk.client import ApiError, NotReachable, RunFailed
from nodewise.sdk.client.events import read_events
from tests.support.fake_api import FakeApi, plan_info, problem, task_info

COMPILED = CompiledPipeline(pipeline_spec={"root": {}, "pipelineInfo": {"name": "quickstart"}})


class Slept(list[float]):
    """Stands in for `sleep`, and remembers."""

    def __call__(self, seconds: float) -> None:
        self.append(seconds)


@pytest.fixture
def api() -> FakeApi:
    return FakeApi()


@pytest.fixture
def slept() -> Slept:
    return Slept()


@pytest.fixture
def client(api: FakeApi, slept: Slept) -> Iterator[Client]:
    with Client("http://api", transport=httpx.MockTransport(api.handle), sleep=slept) as client:
        yield client


def body_of(request: httpx.Request) -> dict[str, Any]:
    return dict(json.loads(request.content))


def test_submit_sends_everything_and_returns_the_run(api: FakeApi, client: Client) -> None:
    run = client.submit(
        COMPILED, parameters={"name": "x"}, depth=3, name="mine", policy="priority", strategy="custom",
        priority=7, deadline=datetime(2026, 12, 1, tzinfo=UTC), team="vision", labels={"wave": "1"},
    )  # fmt: skip

    assert (run.name, run.state) == ("mine", "PENDING")
    assert body_of(api.requests[0]) == {
        "pipeline_spec": COMPILED.pipeline_spec, "platform_spec": None, "parameters": {"name": "x", "depth": 3},
        "name": "mine", "policy": "priority", "strategy": "custom", "priority": 7,
        "deadline": "2026-12-01T00:00:00Z", "team": "vision", "labels": {"wave": "1"},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("said", "sent"), [({}, {}), ({"cache": None}, {}), ({"cache": False}, {"cache": False})]
)
def test_submit_speaks_of_caching_only_where_the_caller_did(
    api: FakeApi, client: Client, said: dict[str, Any], sent: dict[str, Any]
) -> None:
    client.submit(COMPILED, **said)
    body = body_of(api.requests[0])
    assert {key: body[key] for key in body if key == "cache"} == sent


def test_submit_takes_what_kfp_people_have(api: FakeApi, client: Client, tmp_path: Path) -> None:
    @dsl.component(base_image="x")
    def one() -> int:
        return 1

    @dsl.pipeline(name="theirs")
    def theirs():
        one()

    file = tmp_path / "theirs.yaml"
    compiler.Compiler().compile(theirs, str(file))
    for target in (theirs, one, file, str(file)):
        client.submit(target)
    names = [body_of(request)["pipeline_spec"]["pipelineInfo"]["name"] for request in api.requests]
    assert names == ["theirs", "one", "theirs", "theirs"]


def test_plan_asks_with_what_submit_would_send_and_stores_nothing(api: FakeApi, client: Client) -> None:
    api.answers["plans"] = plan_info()

    found = client.plan(COMPILED, depth=3, strategy="heft", deadline="2026-12-01T00:00:00Z")
    client.submit(COMPILED, depth=3, strategy="heft", deadline="2026-12-01T00:00:00Z")

    planned, submitted = (body_of(request) for request in api.requests)
    assert found == plan_info()
    assert planned == {key: submitted[key] for key in planned}
    assert planned["parameters"] == {"depth": 3}
    assert len(api.runs) == 1


def test_the_trace_of_the_environment_goes_with_a_submission(
    api: FakeApi, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    for value in (given, "nonsense"):
        monkeypatch.setenv("TRACEPARENT", value)
        client.submit(COMPILED)
    assert [request.headers.get("traceparent") for request in api.requests] == [given, None]


def test_one_task_is_explained_by_its_path(api: FakeApi, client: Client) -> None:
    api.add_run("r")
    api.answers["explain"] = []

    client.get("r").explain("fit")

    assert dict(api.requests[-1].url.params) == {"task": "fit"}


def test_a_submission_that_got_no_answer_is_repeated_with_the_same_key(
    api: FakeApi, client: Client, slept: Slept
) -> None:
    api.faults = [httpx.ConnectError("refused"), httpx.ReadError("cut"), problem(503, "Unavailable")]

    client.submit(COMPILED)

    assert len({request.headers["Idempotency-Key"] for request in api.requests}) == 1
    assert (len(api.requests), len(api.runs)) == (4, 1)
    assert slept == sorted(slept)
    assert len(slept) == 3


def test_two_submissions_have_different_keys(api: FakeApi, client: Client) -> None:
    assert client.submit(COMPILED).id != client.submit(COMPILED).id


def test_the_same_key_makes_one_run(client: Client) -> None:
    assert client.submit(COMPILED, idempotency_key="k").id == client.submit(COMPILED, idempotency_key="k").id


def test_a_pause_is_as_long_as_the_server_asks_for(api: FakeApi, client: Client, slept: Slept) -> None:
    api.faults = [httpx.Response(503, headers={"Retry-After": "3"})]

    client.nodes()

    assert slept == [3.0]


def test_no_answer_at_all_says_what_to_do(api: FakeApi, client: Client) -> None:
    api.faults = [httpx.ConnectError("refused")] * 9

    with pytest.raises(
        NotReachable, match="cannot reach http://api: is the stack up\\? Run `nodewise up`, or start"
    ):
        client.nodes()
    assert len(api.requests) == 6


@pytest.mark.parametrize(
    ("field", "rule", "said"),
    [
        ("body.strategy", "no strategy named 'x'; known: greedy", "no strategy named 'x'; known: greedy"),
        ("body.deadline", "must be in the future", "deadline: must be in the future"),
        ("query.limit", "must be 1 to 200", "limit: must be 1 to 200"),
    ],
)
def test_a_refusal_speaks_of_the_field_as_a_person_would(
    api: FakeApi, client: Client, field: str, rule: str, said: str
) -> None:
    errors = [{"field": field, "rule": rule}]
    api.faults = [problem(422, "Unprocessable Entity", detail=f"{field}: {rule}", errors=errors)]

    with pytest.raises(ApiError) as caught:
        client.submit(COMPILED)

    assert (str(caught.value), caught.value.errors) == (said, errors)


def test_a_refusal_is_not_repeated_and_says_field_and_rule(api: FakeApi, client: Client) -> None:
    errors = [{"field": "priority", "rule": "must be a whole number"}]
    api.faults = [problem(422, "Invalid request", errors=errors)]

    with pytest.raises(ApiError) as caught:
        client.submit(COMPILED)

    assert str(caught.value) == "Invalid request (priority: must be a whole number)"
    assert (caught.value.status, caught.value.errors) == (422, errors)
    assert len(api.requests) == 1


def test_a_refusal_that_is_no_problem_json_is_kept_as_text(api: FakeApi, client: Client) -> None:
    api.faults = [httpx.Response(502, text="<html>bad\ngateway</html>")] * 9

    with pytest.raises(ApiError, match="<html>bad gateway</html>"):
        client.nodes()


def test_an_address_that_is_none_is_said_to_be_none() -> None:
    with pytest.raises(NotReachable, match="no valid address"):
        Client("http://[::1")


def test_runs_walks_all_pages_newest_first(api: FakeApi, client: Client) -> None:
    for name in "abcde":
        api.add_run(name)

    assert [run.id for run in client.runs()] == ["e", "d", "c", "b", "a"]


def test_runs_stops_at_the_limit_and_asks_for_no_more(api: FakeApi, client: Client) -> None:
    for name in "abcde":
        api.add_run(name)

    assert [run.id for run in client.runs(limit=3)] == ["e", "d", "c"]
    assert len(api.requests) == 2


def test_runs_filters_by_state(api: FakeApi, client: Client) -> None:
    api.add_run("good")
    api.add_run("bad", states=("FAILED",))

    assert [run.id for run in client.runs(state="FAILED")] == ["bad"]


def test_wait_returns_the_run_when_it_has_succeeded(api: FakeApi, client: Client, slept: Slept) -> None:
    api.add_run("r", states=("PENDING", "RUNNING", "RUNNING", "SUCCEEDED"))

    run = client.get("r").wait(progress=False)

    assert (run.state, run.succeeded, run.ended) == ("SUCCEEDED", True, True)
    assert slept == [0.5]


def test_wait_raises_when_the_run_failed(api: FakeApi, client: Client) -> None:
    api.add_run("r", states=("RUNNING", "FAILED"), error="task fit: exit code 1")

    with pytest.raises(RunFailed, match="ended FAILED: task fit: exit code 1"):
        client.wait("r", progress=False)


def test_wait_leaves_judging_to_the_caller_who_wants_to(api: FakeApi, client: Client) -> None:
    api.add_run("r", states=("RUNNING", "FAILED"))

    assert client.get("r").wait(progress=False, check=False).state == "FAILED"


def test_wait_gives_up_in_time(api: FakeApi, client: Client) -> None:
    api.add_run("r", states=("RUNNING",))

    with pytest.raises(TimeoutError, match="still RUNNING"):
        client.get("r").wait(timeout=0, progress=False)


def test_wait_prints_a_line_whenever_something_moved(
    api: FakeApi, client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    api.add_run("r", states=("RUNNING", "RUNNING", "RUNNING", "SUCCEEDED"))

    client.get("r").wait()

    lines = capsys.readouterr().err.splitlines()
    assert [line.split(":")[1].split(",")[0].strip() for line in lines] == ["RUNNING", "SUCCEEDED"]


def test_a_table_shows_every_task_with_its_node(api: FakeApi, client: Client) -> None:
    api.add_run("r")
    api.tasks["r"] = [
        task_info("r", "load", node="n2", why_node="most memory"),
        task_info("r", "fit", state="READY", node=None, reason="no room: n1 has 0 cores", ran_seconds=None),
    ]

    lines = client.get("r").table().splitlines()

    assert lines[1].split() == ["load", "SUCCEEDED", "n2", "0.5", "2.2", "most", "memory"]
    assert lines[2].split() == ["fit", "READY", "-", "0.5", "-", "no", "room:", "n1", "has", "0", "cores"]


def test_outputs_are_the_parameters_of_a_task(api: FakeApi, client: Client) -> None:
    api.add_run("r")

    assert client.get("r").outputs("fit") == {"Output": 0.97}
    assert client.get("r").outputs("nothing") == {}


def test_logs_cancel_and_lists_reach_their_addresses(api: FakeApi, client: Client) -> None:
    api.add_run("r", states=("RUNNING",))
    api.texts["tasks/inner/fit/logs"] = "hello"
    api.answers |= {"nodes": {"items": [{"name": "n1"}]}, "policies": {"items": [{"name": "fifo"}]}}

    assert client.get("r").logs("inner/fit", attempt=2) == "hello"
    assert api.requests[-1].url.raw_path == b"/v1/runs/r/tasks/inner%2Ffit/logs?attempt=2"
    assert client.get("r").cancel().state == "CANCELING"
    assert client.nodes() == [{"name": "n1"}]
    assert client.policies() == [{"name": "fifo"}]


def test_cancelling_what_has_ended_is_refused(api: FakeApi, client: Client) -> None:
    api.add_run("r")

    with pytest.raises(ApiError, match="already ended"):
        client.get("r").cancel()


def test_a_run_that_failed_is_tried_again_as_a_new_one(api: FakeApi, client: Client) -> None:
    api.add_run("r", states=("FAILED",))

    again = client.get("r").retry()

    assert (again.id, again.info["retry_of"], again.state) == ("r-2", "r", "PENDING")
    assert api.requests[-1].headers["Idempotency-Key"]


def test_a_run_that_was_put_away_is_listed_when_asked_for(api: FakeApi, client: Client) -> None:
    api.add_run("r")
    run = client.get("r").archive()

    assert run.info["archived_at"]
    assert list(client.runs()) == []
    assert [one.id for one in client.runs(archived=True)] == ["r"]
    assert run.archive(archived=False).info["archived_at"] is None


@pytest.mark.parametrize("deadline", ["2h", timedelta(hours=2)])
def test_a_duration_is_a_deadline_from_now(api: FakeApi, client: Client, deadline: str | timedelta) -> None:
    before = datetime.now(UTC)
    client.submit(COMPILED, deadline=deadline)

    sent = datetime.fromisoformat(body_of(api.requests[0])["deadline"])
    assert timedelta(hours=2) <= sent - before < timedelta(hours=2, minutes=1)


@pytest.mark.parametrize("deadline", ["soon", "2026-12-01T12:00", "3 apples"])
def test_a_deadline_that_is_none_is_refused_before_sending(
    api: FakeApi, client: Client, deadline: str
) -> None:
    with pytest.raises(ValueError, match="deadline"):
        client.submit(COMPILED, deadline=deadline)
    assert api.requests == []


class Cut(httpx.SyncByteStream):
    """A stream that breaks after its text."""

    def __init__(self, text: str, *, clean: bool = False) -> None:
        self._text = text
        self._clean = clean

    def __iter__(self) -> Iterator[bytes]:
        yield self._text.encode()
        if not self._clean:
            raise httpx.ReadError("cut")


def event(number: int, kind: str, state: str) -> str:
    return f"id: {number}\nevent: {kind}\ndata: {json.dumps({'to_state': state})}\n\n"


def test_events_go_on_after_a_cut_with_the_last_id(api: FakeApi, client: Client) -> None:
    api.faults = [
        httpx.Response(200, stream=Cut(event(1, "task", "RUNNING") + "id: 2\nevent: ta")),
        httpx.ConnectError("refused"),
        httpx.Response(200, stream=Cut(": keep-alive\n\n", clean=True)),
        httpx.Response(200, stream=Cut(event(2, "task", "SUCCEEDED") + event(3, "run", "SUCCEEDED"))),
    ]

    found = [(e.id, e.kind, e.state) for e in client.events("r")]

    assert found == [("1", "task", "RUNNING"), ("2", "task", "SUCCEEDED"), ("3", "run", "SUCCEEDED")]
    assert [r.headers.get("Last-Event-ID") for r in api.requests] == [None, "1", "1", "1"]


def test_events_of_an_unknown_run_are_refused_at_once(api: FakeApi, client: Client) -> None:
    with pytest.raises(ApiError, match="no run named 'r'"):
        next(client.events("r"))
    assert len(api.requests) == 1


def test_events_give_up_when_the_server_stays_away(api: FakeApi, client: Client) -> None:
    api.faults = [httpx.ConnectError("refused")] * 20

    with pytest.raises(NotReachable):
        next(client.events("r"))
    assert len(api.requests) == 6


def test_data_of_several_lines_is_one_event() -> None:
    text = io.StringIO('event: task\ndata: {"to_state":\ndata: "READY"}\nretry: 5\n\n')
    assert [e.state for e in read_events(line.rstrip("\n") for line in text)] == ["READY"]
