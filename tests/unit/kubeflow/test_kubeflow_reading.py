"""What KFP and Kubernetes say, read: every form they are known to use, and no harm from any other."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodewise.core.engine.kubeflow.nodes import read_node
from nodewise.core.engine.kubeflow.paths import in_the_ir, place_of
from nodewise.core.engine.kubeflow.runs import KfpRun, KfpState, read_run, read_time, run_event
from nodewise.core.engine.kubeflow.tasks import (
    RunSighting,
    SightedState,
    TaskSighting,
    from_details,
    from_workflow,
)
from nodewise.core.lifecycle import RunEvent

ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("name", "path", "executor", "attempt"),
    [
        ("wf.root.train.executor", "train", True, None),
        ("wf.root.train.executor(0)", "train", True, 1),
        ("wf.root.train.executor(2)", "train", True, 3),
        ("wf.root.train", "train", False, None),
        ("wf.root.inner.train.executor", "inner.train", True, None),
        ("wf.root.loop.iteration-iterations(1:1).iteration-item.train.executor", "loop[1].train", True, None),
        (
            "wf.root.a.iteration-iterations(0:0).iteration-item.b.iteration-iterations(12:12).iteration-item.c.executor(1)",
            "a[0].b[12].c",
            True,
            2,
        ),
        ("wf.root.exit-handler-1.onExit.report.executor", "report", True, None),
        ("wf.root.x.a.onExit.b.executor", "x.b", True, None),
        ("wf.root.executor.executor", "executor", True, None),
        ("wf.root.inner(0).train.executor", "inner.train", True, None),
        ("wf.root.inner(2).train.executor(1)", "inner~3.train", True, 2),
    ],
)
def test_names_of_argo_are_paths(name: str, path: str, executor: bool, attempt: int | None) -> None:
    place = place_of(name, "wf")
    assert place is not None
    assert (place.path, place.executor, place.attempt) == (path, executor, attempt)


@pytest.mark.parametrize("name", ["wf", "wf.root", "other.root.train.executor", "wf2.root.train", ""])
def test_what_belongs_to_no_task_has_no_place(name: str) -> None:
    assert place_of(name, "wf") is None


def test_iterations_are_one_task_of_the_ir() -> None:
    assert in_the_ir("a[0].b[12].c~2.d") == "a.b.c.d"


def a_workflow(*nodes: dict[str, Any], **status: Any) -> dict[str, Any]:
    named = {str(number): node for number, node in enumerate(nodes)}
    workflow = {"metadata": {"name": "wf"}, "status": {"nodes": named, **status}}
    return {"pipeline_runtime": {"workflow_manifest": json.dumps(workflow)}}


def a_pod(name: str, phase: str, **more: Any) -> dict[str, Any]:
    kind = "Retry" if more.pop("retry", False) else "Pod"
    return {"name": f"wf.root.{name}", "type": kind, "phase": phase, **more}


def sighted(*nodes: dict[str, Any]) -> list[TaskSighting]:
    found = from_workflow(a_workflow(*nodes))
    assert found is not None
    return list(found.tasks)


def test_a_running_pod_tells_its_node() -> None:
    (task,) = sighted(a_pod("t.executor", "Running", hostNodeName="n1", startedAt="2026-01-02T03:04:05Z"))
    assert (task.state, task.node) == (SightedState.RUNNING, "n1")
    assert task.started_at == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_a_task_whose_first_attempt_failed_has_not_failed() -> None:
    whole = a_pod("t.executor", "Running", retry=True)
    first = a_pod("t.executor(0)", "Failed", message="Error (exit code 1)", hostNodeName="n1")
    (task,) = sighted(whole, first)
    assert (task.state, task.attempts, task.message) == (SightedState.PENDING, 1, "Error (exit code 1)")
    (task,) = sighted(whole, first, a_pod("t.executor(1)", "Pending", message="Unschedulable: 0/2 nodes"))
    assert (task.state, task.attempts, task.node) == (SightedState.UNSCHEDULABLE, 2, None)
    (task,) = sighted(whole, first, a_pod("t.executor(1)", "Running", hostNodeName="n2"))
    assert (task.state, task.node, task.message) == (SightedState.RUNNING, "n2", None)


def test_attempts_beyond_ten_are_in_their_order() -> None:
    pods = [a_pod(f"t.executor({number})", "Failed", hostNodeName=f"n{number}") for number in range(12)]
    (task,) = sighted(a_pod("t.executor", "Failed", retry=True), *pods)
    assert (task.node, task.attempts, task.state) == ("n11", 12, SightedState.FAILED)


def test_a_pending_pod_is_not_unschedulable_for_another_reason() -> None:
    (task,) = sighted(a_pod("t.executor", "Pending", message="ImagePullBackOff: no such image"))
    assert (task.state, task.message) == (SightedState.PENDING, "ImagePullBackOff: no such image")


def test_a_cached_task_succeeded_without_having_run() -> None:
    (task,) = sighted(a_pod("t.executor", "Skipped", startedAt="2026-01-02T03:04:05Z"))
    assert (task.state, task.cached, task.started_at) == (SightedState.SUCCEEDED, True, None)


def test_a_driver_that_waits_is_why_its_task_waits() -> None:
    driver = {"type": "Pod", "templateName": "system-container-driver"}
    (task,) = sighted(
        {**driver, "name": "wf.root.t-driver", "phase": "Pending", "message": "Unschedulable: x"}
    )
    assert (task.path, task.state) == ("t", SightedState.UNSCHEDULABLE)
    assert task.message == "its driver: Unschedulable: x"
    (task,) = sighted({**driver, "name": "wf.root.t-driver", "phase": "Failed", "message": "no"})
    assert (task.state, task.message) == (SightedState.FAILED, "its driver: no")
    assert sighted({**driver, "name": "wf.root.t-driver", "phase": "Succeeded"}) == []


def test_a_task_that_is_named_like_a_driver_is_none() -> None:
    (task,) = sighted(a_pod("truck-driver.executor", "Running", templateName="system-container-impl"))
    assert (task.path, task.state) == ("truck-driver", SightedState.RUNNING)


def test_what_was_skipped_or_left_out_is_skipped() -> None:
    skipped = {"name": "wf.root.a", "type": "Skipped", "phase": "Skipped"}
    omitted = {"name": "wf.root.b", "type": "Skipped", "phase": "Omitted"}
    assert [task.state for task in sighted(skipped, omitted)] == [SightedState.SKIPPED] * 2


def test_an_importer_is_a_task_of_one_pod() -> None:
    (task,) = sighted(a_pod("load", "Succeeded", templateName="system-importer", hostNodeName="n1"))
    assert (task.path, task.state, task.node) == ("load", SightedState.SUCCEEDED, "n1")


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"pipeline_runtime": {}},
        {"pipeline_runtime": {"workflow_manifest": "{"}},
        {"pipeline_runtime": None},
    ],
)
def test_without_a_workflow_there_is_no_telling(answer: dict[str, Any]) -> None:
    assert from_workflow(answer) is None


def test_task_details_tell_only_of_tasks_that_are_unambiguous() -> None:
    details = [
        {"display_name": name, "state": "SUCCEEDED"}
        for name in ("wf", "root", "train-driver", "train", "executor", "executor", "deploy", "deploy", "end")
    ]
    run = KfpRun(run_id="r", task_details=tuple(details))
    once = ["x.train", "a.deploy", "b.deploy", "end"]
    assert [task.path for task in from_details(run, once=once).tasks] == ["end", "x.train"]


def test_zero_values_that_kfp_leaves_out_are_unknown() -> None:
    run = read_run({"run_id": "r"})
    assert run == KfpRun(run_id="r")
    assert run.state is KfpState.UNKNOWN
    assert not run.is_final


def test_a_time_that_is_not_yet_is_none() -> None:
    assert read_time("1970-01-01T00:00:00Z") is None
    assert read_time("2026-01-02T03:04:05Z") == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert read_time("soon") is read_time(None) is read_time("") is None


@pytest.mark.parametrize(
    ("state", "event"),
    [
        (KfpState.PENDING, None),
        (KfpState.RUNNING, RunEvent.START),
        (KfpState.SUCCEEDED, RunEvent.SUCCEED),
        (KfpState.FAILED, RunEvent.FAIL),
        (KfpState.CANCELED, RunEvent.CANCEL),
        (KfpState.CANCELING, None),
        (KfpState.PAUSED, None),
        (KfpState.UNKNOWN, None),
    ],
)
def test_only_what_is_certain_is_an_event(state: KfpState, event: RunEvent | None) -> None:
    assert run_event(KfpRun(run_id="r", state=state), cancel_requested=False) is event


@given(ANY_JSON, ANY_JSON, ANY_JSON)
def test_no_answer_of_any_shape_breaks_the_reader(first: Any, second: Any, third: Any) -> None:
    read_run(
        {
            "run_id": first,
            "state": second,
            "error": third,
            "run_details": {"task_details": first},
            "created_at": second,
        }
    )
    workflow = {
        "metadata": {"name": "wf"},
        "status": {"nodes": {"a": {"name": first, "message": second}, "b": third}},
    }
    for manifest in (
        workflow,
        {"metadata": first, "status": second},
        {"metadata": {}, "status": {"nodes": third}},
    ):
        found = from_workflow({"pipeline_runtime": {"workflow_manifest": json.dumps(manifest)}})
        assert found is None or isinstance(found, RunSighting)
    placed = {
        "name": "wf.root.t.executor",
        "message": first,
        "phase": second,
        "hostNodeName": third,
        "startedAt": first,
    }
    from_workflow(a_workflow(placed))


@given(ANY_JSON, ANY_JSON, ANY_JSON)
def test_no_node_of_any_shape_breaks_the_reader(first: Any, second: Any, third: Any) -> None:
    read_node({"metadata": first, "spec": second, "status": third})
    status = {"allocatable": {"cpu": first, "memory": second, "x/gpu": third}, "conditions": first}
    read_node({"metadata": {"labels": second}, "spec": {"taints": third}, "status": status})


def test_a_node_without_amounts_has_none() -> None:
    node = read_node({"metadata": {"name": "n1"}})
    assert (node.hostname, node.allocatable.millicores, node.allocatable.memory_mib) == ("n1", 0, 0)
    assert not node.usable, "nothing says that it is ready"
