"""Open runs in the middle of things, made by Hypothesis: what `plan_jointly` is asked."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

from hypothesis import strategies as st

from nodewise.core.lifecycle import TaskState
from nodewise.core.model.ids import NodeName, RunId, TaskPath, TaskRef
from nodewise.core.model.node import Cluster, Node, NodeView
from nodewise.core.model.resources import Resources
from nodewise.core.model.situation import DoneTask, Occupancy, OpenRun, OpenTask
from nodewise.core.model.task import Preferences, Requirements, TaskFacts
from nodewise.core.ports import Predict
from tests.support.builders import NOON, a_cluster, a_spec, run_id, seconds
from tests.support.forecasts import a_prediction, exactly

NAMES = tuple(NodeName(f"n{number}") for number in range(4))


@dataclass(frozen=True, slots=True, kw_only=True)
class Situated:
    """A situation; stages are for the test to choose."""

    cluster: Cluster
    runs: tuple[OpenRun, ...]
    running: tuple[Occupancy, ...]
    predict: Predict


def by_chance(seed: int) -> Predict:
    """Some seconds for each task class on each node, always the same."""

    def predicted(task: TaskFacts, node: Node) -> float:
        return Random(f"{seed} {task.task_class} {node.name}").choice((0.0, 1.0, 2.5, 4.0, 9.0, 30.0))

    return exactly(predicted)


@st.composite
def situations(draw: st.DrawFn, *, admitted: bool = True) -> Situated:
    """One to four nodes, up to four runs of up to five tasks each: done, live, admitted, ready, waiting, impossible."""
    cluster = a_cluster(*(_view(draw, name) for name in NAMES[: draw(st.integers(1, 4))]))
    runs, running = [], [_attempt(draw, 90 + number, "other") for number in range(draw(st.integers(0, 2)))]
    for number in range(draw(st.integers(0, 4))):
        run, live = _run(draw, number, admitted=admitted)
        runs.append(run)
        running += live
    return Situated(
        cluster=cluster,
        runs=tuple(runs),
        running=tuple(running),
        predict=by_chance(draw(st.integers(0, 9))),
    )


def _view(draw: st.DrawFn, name: NodeName) -> NodeView:
    capacity = Resources(
        millicores=draw(st.sampled_from((1000, 4000))),
        memory_mib=draw(st.sampled_from((1024, 8192))),
        gpus=draw(st.integers(0, 1)),
    )
    booked = draw(st.sampled_from((Resources(), Resources(), Resources(millicores=700))))
    slots = draw(st.sampled_from((1, 1, 2, None)))
    return NodeView(node=Node(name=name, capacity=capacity), slots=slots, booked=booked)


def _attempt(draw: st.DrawFn, run: int, path: str) -> Occupancy:
    placed = NOON - seconds(draw(st.floats(0, 20)))
    return Occupancy(
        ref=TaskRef(run_id=run_id(run), path=TaskPath(path)),
        node=draw(st.sampled_from(NAMES)),
        resources=Resources(millicores=draw(st.sampled_from((500, 1000)))),
        placed_at=placed,
        started_at=draw(st.sampled_from((None, placed))),
        prediction=draw(st.sampled_from((None, a_prediction(5), a_prediction(15, high=40)))),
    )


def _run(draw: st.DrawFn, number: int, *, admitted: bool) -> tuple[OpenRun, list[Occupancy]]:
    done: dict[TaskPath, DoneTask] = {}
    tasks: list[OpenTask] = []
    live: list[Occupancy] = []
    for place in range(draw(st.integers(1, 5))):
        paths = [*done, *(task.path for task in tasks)]
        after = tuple(draw(st.lists(st.sampled_from(paths), max_size=2, unique=True))) if paths else ()
        due = all(path in done for path in after)
        task = _task(draw, number, place, after=after, due=due)
        fate = draw(st.sampled_from(("done", "live", "admitted", "waits", "waits", "waits"))) if due else ""
        if fate == "done":
            done[task.path] = _done(draw)
            continue
        if fate == "live":
            live.append(_attempt(draw, number, task.path))
            task = replace(task, state=TaskState.RUNNING)
        elif fate == "admitted" and admitted:
            allowed = tuple(draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=2, unique=True)))
            task = replace(task, state=TaskState.ADMITTED, allowed_nodes=allowed)
        tasks.append(task)
    run = OpenRun(
        id=run_id(number),
        submitted_at=NOON - seconds(draw(st.sampled_from((0, 0, 7, 100)))),
        policy="balanced",
        strategy="portfolio",
        tasks=tuple(tasks),
        done=done,
    )
    return run, live


def _done(draw: st.DrawFn) -> DoneTask:
    ended = NOON - seconds(draw(st.floats(-0.5, 10)))
    size = draw(st.sampled_from((0, 10**6, 10**9)))
    return DoneTask(
        node=draw(st.sampled_from(NAMES)), started_at=ended - seconds(3), ended_at=ended, output_bytes=size
    )


def _task(draw: st.DrawFn, run: int, place: int, *, after: tuple[TaskPath, ...], due: bool) -> OpenTask:
    path = TaskPath(f"t{place}")
    requirements = draw(
        st.sampled_from((Requirements(), Requirements(), Requirements(nodes=(NAMES[0], NAMES[2]))))
    )
    preferences = draw(st.sampled_from((Preferences(), Preferences(), Preferences(nodes=(NAMES[1],)))))
    spec = a_spec(
        path,
        cores=draw(st.sampled_from((0, 0.5, 1, 2))),
        memory=draw(st.sampled_from((0, 600))),
        upstream=after,
        requirements=requirements,
        preferences=preferences,
    )
    rests = draw(st.sampled_from((None, None, None, NOON + seconds(12))))
    return OpenTask(
        facts=TaskFacts(ref=TaskRef(run_id=run_id(run), path=path), task_class=f"c{draw(st.integers(0, 5))}"),
        spec=spec,
        state=TaskState.READY if due else TaskState.WAITING,
        not_before=rests,
    )


def all_runs(situated: Situated) -> Sequence[RunId]:
    return tuple(run.id for run in situated.runs)
