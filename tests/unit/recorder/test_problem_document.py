"""History as a problem: what was measured, what is learned, what was left out."""

from datetime import UTC, datetime, timedelta
from typing import Any

from nodewise.core.db.queries.history import History, PastRun, PastTask
from nodewise.core.estimates.learning import Basis, Prediction
from nodewise.core.model.ids import NodeName, RunId, TaskPath, TaskRef
from nodewise.core.model.node import Node
from nodewise.core.model.resources import Resources
from nodewise.core.model.task import Requirements, TaskFacts, TaskSpec
from nodewise.recorder.reports.problem import problem_document
from nodewise.simulator.problem_file import parse_scenario

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
SIZE = Resources(millicores=4000, memory_mib=4096)
NODES = tuple(
    Node(name=NodeName(name), capacity=SIZE, node_class=name[:-1]) for name in ("fast1", "slow1", "slow2")
)
LEARNED = {"fast": 2.0, "slow": 7.0}


def learned(task: TaskFacts, node: Node) -> Prediction:
    median = LEARNED[node.node_class]
    return Prediction(
        median_seconds=median, low=median, high=median, level=0.8, basis=Basis.LEARNED, samples=1
    )


def a_task(path: str, *, node: str = "fast1", start: float = 0, end: float = 3, **fields: Any) -> PastTask:
    spec = {"path": TaskPath(path), "component": path} | fields.pop("spec", {})
    known = {
        "facts": TaskFacts(ref=TaskRef(run_id=RunId("1"), path=TaskPath(path)), task_class="train/nn"),
        "spec": TaskSpec(**spec),
        "node": NodeName(node),
        "ready_at": NOW,
        "started_at": NOW + timedelta(seconds=start),
        "finished_at": NOW + timedelta(seconds=end),
        "predicted_seconds": None,
        "output_bytes": 0.0,
    }
    return PastTask(**(known | fields))


def a_run(
    *tasks: PastTask,
    id: str = "1",
    name: str = "run",
    upstream: dict[str, tuple[str, ...]] | None = None,
    **fields: Any,
) -> PastRun:
    edges = {
        TaskPath(path): tuple(TaskPath(parent) for parent in parents)
        for path, parents in (upstream or {}).items()
    }
    known = {
        "submitted_at": NOW,
        "priority": 0,
        "deadline": None,
        "team": "default",
        "policy": "fifo",
        "strategy": "greedy",
    }
    return PastRun(id=RunId(id), name=name, tasks=tasks, upstream=edges, **(known | fields))


def written(*runs: PastRun) -> dict[str, Any]:
    found = problem_document(History(nodes=NODES, runs=runs, under_way=2), learned, link_mib_per_s=50.0)
    parse_scenario(found)  # every document is readable
    return found


def test_where_it_ran_it_took_what_it_took_and_elsewhere_what_is_learned() -> None:
    (task,) = written(a_run(a_task("a", predicted_seconds=2.5)))["pipelines"][0]["tasks"]
    assert task["seconds"] == {"fast1": 3.0, "slow1": 7.0, "slow2": 7.0}
    assert task["estimate"] == {"fast1": 2.5, "slow1": 7.0, "slow2": 7.0}


def test_without_a_prediction_the_estimate_is_what_is_learned_and_never_what_was_measured() -> None:
    (task,) = written(a_run(a_task("a")))["pipelines"][0]["tasks"]
    assert task["estimate"]["fast1"] == 2.0


def test_a_node_that_a_requirement_or_the_size_excludes_is_absent() -> None:
    only = {"requirements": Requirements(nodes=(NodeName("fast1"), NodeName("slow2")))}
    large = {"resources": Resources(millicores=5000, memory_mib=1)}
    tasks = written(a_run(a_task("a", spec=only), a_task("b", spec=large)))["pipelines"][0]["tasks"]
    assert [sorted(task["seconds"]) for task in tasks] == [["fast1", "slow2"], ["fast1"]]


def test_children_wait_for_the_data_of_their_parents() -> None:
    parent, child = a_task("a", output_bytes=5 * 1024 * 1024), a_task("b")
    tasks = written(a_run(parent, child, upstream={"b": ("a",)}))["pipelines"][0]["tasks"]
    assert tasks[1]["after"] == [{"task": "a", "mib": 5.0}]


def test_who_waited_for_what_did_not_run_waits_for_what_that_waited_for() -> None:
    run = a_run(a_task("a"), a_task("c"), upstream={"b": ("a",), "c": ("b", "a")})
    assert written(run)["pipelines"][0]["tasks"][1]["after"] == [{"task": "a", "mib": 0.0}]


def test_times_count_from_the_first_submission() -> None:
    later = NOW + timedelta(seconds=10)
    runs = (
        a_run(),
        a_run(a_task("a"), id="2", name="x"),
        a_run(a_task("a"), id="3", submitted_at=later, deadline=later),
    )
    first, second = written(*runs)["pipelines"]
    assert (first["submitted_at"], second["submitted_at"], second["deadline"]) == (0, 10, 10)


def test_a_name_that_several_runs_have_is_told_with_the_id() -> None:
    runs = (a_run(a_task("a"), id="1"), a_run(a_task("a"), id="2"), a_run(a_task("a"), id="3", name="other"))
    assert [pipeline["name"] for pipeline in written(*runs)["pipelines"]] == ["run 1", "run 2", "other"]


def test_what_became_of_it_stands_beside_the_problem() -> None:
    runs = (
        a_run(a_task("a", node="slow1", start=1, end=4)),
        a_run(a_task("a"), id="2", name="x", policy="shortest"),
    )
    found = written(*runs)["recorded"]
    assert found["schedule"][0] == {
        "pipeline": "run", "task": "a", "node": "slow1", "ready": 0.0, "start": 1.0, "end": 4.0
    }  # fmt: skip
    assert found["choices"] == [
        {"policy": "fifo", "strategy": "greedy", "runs": 1}, {"policy": "shortest", "strategy": "greedy", "runs": 1}
    ]  # fmt: skip
    assert found["runs_under_way"] == 2
