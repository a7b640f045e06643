"""What a forecast says of a run that nobody has submitted."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Any

import pytest

from nodewise.api.forecasting.forecast import Forecast, Proof, TaskForecast, forecast
from nodewise.api.forecasting.question import Question, Rules
from nodewise.api.forecasting.views import plan_view
from nodewise.core.estimates.learning import Basis, Prediction
from nodewise.core.lifecycle import TaskState
from nodewise.core.model.ids import NodeName, TaskPath, TaskRef
from nodewise.core.model.node import Node, NodeView
from nodewise.core.model.problem import Objective, PlanningContext, Problem, Schedule
from nodewise.core.model.resources import Resources
from nodewise.core.model.situation import Occupancy, OpenRun, OpenTask
from nodewise.core.model.task import Requirements, TaskFacts, WaitingTask
from nodewise.core.ports import PolicyContext
from nodewise.planning import PLANNERS
from nodewise.scheduler.policies.fifo import Fifo
from tests.support.builders import NOON, a_cluster, a_node, a_spec, run_id, seconds

Tasks = Mapping[str, Sequence[str]]
CHAIN: Tasks = {"load": (), "fit": ("load",)}


class Broken:
    name = "broken"
    summary = ""

    def order(self, waiting: Sequence[WaitingTask], context: PolicyContext) -> Sequence[TaskRef]:
        raise RuntimeError(f"cannot order {len(waiting)} tasks at {context.now}")


def a_run(
    number: int = 1, tasks: Tasks | None = None, *, ago: float = 0, cores: float = 2, **fields: Any
) -> OpenRun:
    """A run whose tasks take a whole node of two cores each; `tasks` maps paths to upstream paths."""
    needy = fields.pop("requirements", {})
    made = []
    for path, upstream in (CHAIN if tasks is None else tasks).items():
        spec = a_spec(
            path,
            cores=cores,
            upstream=tuple(map(TaskPath, upstream)),
            task_class=path.rstrip("0123456789"),
            requirements=needy.get(path, Requirements()),
        )
        facts = TaskFacts(ref=TaskRef(run_id=run_id(number), path=TaskPath(path)), task_class=spec.task_class)
        state = TaskState.WAITING if upstream else TaskState.READY
        made.append(OpenTask(facts=facts, spec=spec, state=state))
    fields = {"policy": "fifo", "strategy": "heft", **fields}
    return OpenRun(id=run_id(number), submitted_at=NOON - seconds(ago), tasks=tuple(made), **fields)


def predict(task: TaskFacts, node: Node, /) -> Prediction:
    """`load` takes 10 s, all else 20 s; n2 is half as fast."""
    median = (10.0 if task.task_class == "load" else 20.0) * (2 if node.name == "n2" else 1)
    return Prediction(
        median_seconds=median, low=median / 2, high=median * 2, level=0.8, basis=Basis.LEARNED, samples=3
    )


def ask(
    run: OpenRun,
    *nodes: NodeView,
    runs: Sequence[OpenRun] = (),
    running: Sequence[Occupancy] = (),
    out_of_time: Callable[[], bool] = lambda: False,
) -> Question:
    return Question(
        run=run,
        cluster=a_cluster(*nodes),
        runs=tuple(runs),
        running=tuple(running),
        predict=predict,
        rules=Rules(
            policies={"fifo": Fifo(), "broken": Broken()},
            planners=PLANNERS,
            objective=Objective.MAKESPAN,
            link_mib_per_s=100.0,
            ageing=timedelta(hours=1),
            horizon=5000,
        ),
        rng=Random(1),
        out_of_time=out_of_time,
    )


def told(found: Forecast) -> dict[str, tuple[str, float, float]]:
    """Node, start and end in seconds after noon, by path, as planned."""
    return {
        task.planned.ref.path: (
            task.planned.node,
            (task.planned.start - NOON).total_seconds(),
            (task.planned.end - NOON).total_seconds(),
        )
        for task in found.tasks
    }


def holds(node: str, *, lasts: float, path: str = "old") -> Occupancy:
    return Occupancy(
        ref=TaskRef(run_id=run_id(7), path=TaskPath(path)),
        node=NodeName(node),
        resources=Resources(millicores=2000),
        placed_at=NOON,
        started_at=NOON,
        prediction=Prediction(
            median_seconds=lasts, low=lasts, high=lasts, level=0.8, basis=Basis.LEARNED, samples=1
        ),
    )


def busy(name: str) -> NodeView:
    return replace(a_node(name), booked=Resources(millicores=2000), running_tasks=1)


def test_on_an_idle_cluster_a_chain_starts_at_once_and_one_task_follows_the_other() -> None:
    found = forecast(ask(a_run(), a_node("n1"), a_node("n2")))
    assert told(found) == {"load": ("n1", 0, 10), "fit": ("n1", 10, 30)}
    assert [(task.why.waits_for, task.why.text) for task in found.tasks] == [
        ((), "n1 has room for it at once"),
        (("load",), "after load"),
    ]
    assert (found.tasks_before, found.unplannable) == (0, {})


def test_intervals_hold_what_is_planned_and_grow_along_a_chain() -> None:
    load, fit = forecast(ask(a_run(), a_node("n1"))).tasks
    for task in (load, fit):
        assert task.outlook.start.low <= task.planned.start <= task.outlook.start.high
        assert task.outlook.end.low < task.planned.end < task.outlook.end.high
    assert width(fit) > width(load)


def width(task: TaskForecast) -> timedelta:
    return task.outlook.end.high - task.outlook.end.low


DIAMOND: Tasks = {"load": (), "fit": ("load",), "check": ("load",), "show": ("fit", "check")}


@pytest.mark.parametrize("strategy", ["portfolio", "heft", "greedy"])
def test_all_times_of_an_answer_are_of_one_plan_and_add_up(strategy: str) -> None:
    others = [a_run(2 + n, DIAMOND, ago=60 - n, strategy=strategy) for n in range(4)]
    asked = ask(a_run(tasks=DIAMOND, strategy=strategy), a_node("n1"), a_node("n2"), runs=others)
    view: Any = plan_view(forecast(asked), asked)
    tasks = {task["path"]: task for task in view["tasks"]}
    for path, task in tasks.items():
        assert task["finish"] - task["start"] == timedelta(seconds=task["run_seconds"])
        assert all(tasks[parent]["finish"] <= task["start"] for parent in DIAMOND[path])
        assert task["finish_low"] <= task["finish"] <= task["finish_high"]
        assert task["start_low"] <= task["start"] <= task["start_high"]
    assert view["start"] == min(task["start"] for task in tasks.values())
    assert view["finish"] == max(task["finish"] for task in tasks.values())
    assert view["finish_low"] <= view["finish"] <= view["finish_high"]
    assert view["finish"] <= view["planned_at"] + timedelta(seconds=view["makespan_seconds"])


def test_alone_on_the_cluster_the_run_ends_when_all_ends() -> None:
    asked = ask(a_run(tasks=DIAMOND), a_node("n1"), a_node("n2"))
    view: Any = plan_view(forecast(asked), asked)
    assert view["finish"] - view["planned_at"] == timedelta(seconds=view["makespan_seconds"])


def test_what_runs_and_what_waits_comes_before_under_fifo() -> None:
    other = a_run(2, {"load": ()}, ago=60)
    found = forecast(ask(a_run(), busy("n1"), runs=[other], running=[holds("n1", lasts=5)]))
    assert told(found) == {"load": ("n1", 15, 25), "fit": ("n1", 25, 45)}
    assert found.tasks[0].why.waits_for == (f"{run_id(2)}/load",)
    assert "n1 is busy until then" in found.tasks[0].why.text
    assert (found.tasks_before, found.tasks_running) == (1, 1)


def test_a_task_that_runs_is_named_when_it_is_waited_for() -> None:
    found = forecast(ask(a_run(), busy("n1"), running=[holds("n1", lasts=5)]))
    assert found.tasks[0].why.waits_for == (f"{run_id(7)}/old",)


def test_a_strategy_that_decides_task_by_task_is_planned_by_earliest_finish() -> None:
    asked = ask(a_run(strategy="greedy"), a_node("n1"))
    view = plan_view(forecast(asked), asked)
    assert (view["strategy"], str(view["basis"]).split(":")[0]) == ("greedy", "eft")
    assert "greedy decides task by task" in str(view["basis"])
    assert str(plan_view(forecast(ask(a_run())), ask(a_run()))["basis"]) == "heft: in the order of fifo"


def test_runs_of_such_strategies_hold_their_place_too() -> None:
    other = a_run(2, {"load": ()}, ago=60, strategy="greedy")
    assert told(forecast(ask(a_run(), a_node("n1"), runs=[other])))["load"] == ("n1", 10, 20)


def test_a_cluster_without_nodes_can_plan_nothing() -> None:
    asked = ask(a_run())
    found = forecast(asked)
    assert dict(found.unplannable) == dict.fromkeys(CHAIN, "the cluster has no node that is ready")
    view = plan_view(found, asked)
    assert [view[name] for name in ("start", "finish", "makespan_seconds", "gap")] == [None] * 4
    assert view["optimal"] is False


def test_what_fits_nowhere_is_told_and_so_is_what_needs_it() -> None:
    tasks: Tasks = {"load": (), "fit": ("load",), "test": ("fit",), "show": ("load",)}
    needy = {"fit": Requirements(labels={"zone": "eu"})}
    asked = ask(a_run(tasks=tasks, requirements=needy), a_node("n1"))
    found = forecast(asked)
    assert set(told(found)) == {"load", "show"}
    assert set(found.unplannable) == {"fit", "test"}
    assert "zone=eu" in found.unplannable[TaskPath("fit")]
    view = plan_view(found, asked)
    assert (view["start"], view["finish"]) == (found.tasks[0].planned.start, None)


@pytest.mark.parametrize("policy", ["broken", "absent"])
def test_a_policy_that_orders_nothing_plans_nothing(policy: str) -> None:
    found = forecast(ask(a_run(policy=policy), a_node("n1")))
    assert set(found.unplannable) == set(CHAIN)
    assert policy in found.unplannable[TaskPath("load")]


def test_a_policy_of_others_that_fails_holds_up_only_them() -> None:
    other = a_run(2, {"load": ()}, ago=60, policy="broken")
    assert told(forecast(ask(a_run(), a_node("n1"), runs=[other])))["load"] == ("n1", 0, 10)


class Failing:
    name = "failing"
    summary = ""

    def plan(self, problem: Problem, context: PlanningContext) -> Schedule:
        raise RuntimeError(f"{len(problem.pipelines)} are too many for {context.objective}")


def test_a_planner_that_fails_is_told_and_stood_in_for() -> None:
    asked = ask(a_run(strategy="failing"), a_node("n1"))
    rules = replace(asked.rules, planners={**PLANNERS, "failing": Failing()})
    asked = replace(asked, rules=rules)
    found = forecast(asked)
    assert told(found)["load"] == ("n1", 0, 10)
    assert "RuntimeError" in str(plan_view(found, asked)["basis"])


def test_a_plan_that_cannot_be_beaten_says_so() -> None:
    found = forecast(ask(a_run(), a_node("n1")))
    assert found.proof is not None
    assert found.proof.makespan_seconds == pytest.approx(30)
    assert (found.proof.optimal, found.proof.gap) == (True, pytest.approx(0, abs=1e-3))


def test_what_has_passed_since_the_first_submission_does_not_flatter_the_gap() -> None:
    old = a_run(2, {"load": (), "fit": ()}, ago=3000)
    found = forecast(ask(a_run(), a_node("n1"), a_node("n2"), runs=[old]))
    assert found.proof is not None
    assert 0 < found.proof.lower_bound_seconds <= found.proof.makespan_seconds < 100


def test_no_bound_is_no_gap() -> None:
    assert Proof(makespan_seconds=1, lower_bound_seconds=0, optimal=False).gap is None


def test_equal_questions_get_equal_answers() -> None:
    asked = [ask(a_run(strategy="portfolio"), a_node("n1"), a_node("n2")) for _ in range(2)]
    first, second = (plan_view(forecast(one), one) for one in asked)
    assert first == second


def test_two_thousand_tasks_are_all_told() -> None:
    tasks: Tasks = {f"t{n}": (f"t{n - 10}",) if n >= 10 else () for n in range(2000)}
    found = forecast(
        ask(
            a_run(tasks=tasks, strategy="portfolio"),
            *(a_node(f"n{k:02}") for k in range(10)),
            out_of_time=lambda: True,
        )
    )
    assert len(found.tasks) == 2000
    assert found.unplannable == {}


class Telltale:
    """Fails, and names all that it was shown."""

    name = "telltale"
    summary = ""

    def plan(self, problem: Problem, context: PlanningContext) -> Schedule:
        raise ValueError(" and ".join(pipeline.name for pipeline in problem.pipelines))


@pytest.mark.parametrize("hidden", [True, False])
def test_a_planner_that_fails_names_the_runs_of_others_to_who_may_know_of_them_only(hidden: bool) -> None:
    asked = ask(a_run(1, strategy="telltale"), a_node("n1"), runs=[a_run(2, strategy="telltale", ago=9)])
    rules = replace(asked.rules, planners={**asked.rules.planners, "telltale": Telltale()})
    asked = replace(asked, rules=rules, hidden={run_id(2)} if hidden else frozenset())
    basis = str(plan_view(forecast(asked), asked)["basis"])
    assert "a planner failed: ValueError" in basis
    assert (str(run_id(2)) in basis) is not hidden
