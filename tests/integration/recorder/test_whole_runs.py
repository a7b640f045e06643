"""Runs of the whole IR on the real schema, from submission to their end: agents are faked, everything else is as it is."""

import random
from typing import Any

import pytest
from sqlalchemy import Engine, event

from nodewise.core.ir import Program, breadth, read_program
from nodewise.core.lifecycle import TaskState
from nodewise.core.model.ids import AttemptKey, RunId, TaskPath
from nodewise.core.model.resources import Resources
from tests.support.driving import Driver, run_row
from tests.support.dynamic_runs import FACTS, FakeRun, compiled_documents
from tests.support.recording import World, report
from tests.support.replaying import broken_lives, lives_of
from tests.support.whole_pipelines import DATA, FUNCTIONS, documents, program
from tests.unit.core_ir.corpus.case import ALWAYS, Case
from tests.unit.core_ir.corpus.every import CASES

E = "exit-handler-1"
LOOP = f"{E}.for-loop-2"
ENDS_OF_EVERYTHING = {
    f"{E}.count": "SUCCEEDED",
    f"{LOOP}[0].make": "SUCCEEDED",
    f"{LOOP}[1].make": "SUCCEEDED",
    f"{LOOP}[1].condition-3.grade": "SUCCEEDED",
    f"{LOOP}[2].make": "SUCCEEDED",
    f"{LOOP}[2].condition-3.grade": "SUCCEEDED",
    f"{E}.compare": "SUCCEEDED",
    f"{E}.condition-branches-4.condition-5.echo": "SUCCEEDED",
    f"{E}.importer": "SUCCEEDED",
    f"{E}.train": "SUCCEEDED",
    "inner.add": "SUCCEEDED",
    "inner.add-2": "FAILED",
    "inner~2.add": "SUCCEEDED",
    "inner~2.add-2": "SUCCEEDED",
    "add": "SUCCEEDED",
    "report": "SUCCEEDED",
}
FAILURES = {"inner.add-2": ALWAYS}
"""The sub-pipeline fails, and is tried again."""


@pytest.fixture
def world(engine: Engine) -> World:
    world = World(engine)
    world.hear()
    return world


def submitted(world: World, name: str, **options: object) -> RunId:
    ir, platforms = documents(name)
    return world.submit_pipeline(ir, platforms=platforms, **options)


def driver(world: World, run_id: RunId, made: Program, **fields: Any) -> Driver:
    return Driver(world=world, programs={run_id: made}, **fields)


def test_everything_at_once_runs_to_its_end(world: World) -> None:
    run_id = submitted(world, "everything", cache=False)
    hands = driver(world, run_id, program("everything"), failures=FAILURES)
    hands.run()
    assert world.task_states(run_id) == ENDS_OF_EVERYTHING
    assert run_row(world, run_id) == {"state": "SUCCEEDED", "error": None, "outputs": {"Output": 4}}
    assert broken_lives(world) == []
    assert world.open_bookings() == 0
    assert world.all("SELECT path FROM tasks WHERE finished_at IS NULL OR finished_at < ready_at") == []


def test_what_tasks_were_given_is_what_others_left(world: World) -> None:
    run_id = submitted(world, "everything", cache=False)
    hands = driver(world, run_id, program("everything"), failures=FAILURES)
    hands.run()
    given = {path: inputs.parameters for path, inputs in hands.seen.items()}
    assert given[f"{LOOP}[2].make"]["number"] == 2
    assert given["add"] == {"a": 3, "b": 1}
    assert given["report"]["status"]["state"] == "SUCCEEDED"  # type: ignore[index]
    models = hands.seen[f"{E}.compare"].artifacts["models"]
    assert [model.uri for model in models] == [f"store://{LOOP}[{index}].make/model" for index in range(3)]
    [data] = hands.seen[f"{E}.train"].artifacts["data"]
    assert (data.uri, data.metadata) == (DATA, {"rows": 5})


def test_every_move_has_its_reason(world: World) -> None:
    run_id = submitted(world, "everything", cache=False)
    driver(world, run_id, program("everything"), failures=FAILURES).run()
    codes = dict(world.all("SELECT path, reason_code FROM tasks WHERE state <> 'WAITING'"))
    assert codes[f"{E}.importer"] == "imported"
    assert codes["inner.add-2"] == "exit_code"
    assert codes["report"] == "finished"
    assert world.all("SELECT event FROM events WHERE path IS NOT NULL AND reason_code IS NULL") == []
    lives = lives_of(world)
    assert [event for event, _, _ in lives[str(run_id), f"{E}.importer"]] == ["submit", "resolve"]
    assert [event for event, _, _ in lives[str(run_id), f"{LOOP}[0].make"]] == [
        "submit", "inputs_ready", "admit", "place", "start", "succeed",
    ]  # fmt: skip
    assert [event for event, _, _ in lives[str(run_id), None]] == ["submit", "start", "succeed"]


def test_a_limited_loop_never_has_more_iterations_under_way(world: World) -> None:
    run_id = submitted(world, "everything", parameters={"n": 5}, cache=False)
    hands = driver(world, run_id, program("everything"))
    most = []

    def count() -> None:
        (live,) = world.one(
            "SELECT count(DISTINCT split_part(path, ']', 1)) FROM tasks"
            " WHERE path LIKE '%for-loop-2[%' AND state IN ('READY', 'PLACED', 'RUNNING')"
        )
        most.append(int(str(live)))

    hands.after_each = count
    hands.run()
    assert max(most) == 2
    assert run_row(world, run_id)["state"] == "SUCCEEDED"


def test_ordinals_are_unique_and_births_are_in_their_order(world: World) -> None:
    run_id = submitted(world, "everything", cache=False)
    driver(world, run_id, program("everything"), failures=FAILURES).run()
    ordinals = [ordinal for (ordinal,) in world.all("SELECT ordinal FROM tasks ORDER BY ordinal")]
    assert ordinals == list(range(len(ENDS_OF_EVERYTHING)))
    births = world.all("SELECT path FROM events WHERE event = 'submit' AND path IS NOT NULL ORDER BY id")
    assert births == world.all("SELECT path FROM tasks ORDER BY ordinal")


def test_a_failure_in_an_overcome_try_is_not_what_broke_the_run(world: World) -> None:
    run_id = submitted(world, "everything", cache=False)
    hands = driver(world, run_id, program("everything"), failures={"inner.add": ALWAYS, "add": ALWAYS})
    hands.run()
    assert run_row(world, run_id)["state"] == "FAILED"
    assert run_row(world, run_id)["error"] == "task 'add' failed: made to fail"


@pytest.mark.parametrize("seed", range(3))
def test_any_order_of_ends_gives_what_the_interpreter_alone_gives(world: World, seed: int) -> None:
    run_id = submitted(world, "everything", cache=False)
    hands = driver(world, run_id, program("everything"), failures=FAILURES, order=random.Random(seed))
    hands.run()
    alone = FakeRun(program=program("everything"), functions=FUNCTIONS, failures=FAILURES)
    end = alone.run()
    assert world.task_states(run_id).items() == alone.states.items()
    assert run_row(world, run_id)["outputs"] == dict(end.outputs.parameters)
    assert broken_lives(world) == []


@pytest.mark.parametrize("seed", [None, 7])
def test_a_recorder_that_dies_after_every_step_changes_nothing(world: World, seed: int | None) -> None:
    run_id = submitted(world, "everything", cache=False)
    order = None if seed is None else random.Random(seed)
    hands = driver(world, run_id, program("everything"), failures=FAILURES, order=order)
    hands.after_each = world.restart
    hands.run()
    assert world.task_states(run_id).items() == ENDS_OF_EVERYTHING.items()
    assert run_row(world, run_id) == {"state": "SUCCEEDED", "error": None, "outputs": {"Output": 4}}
    assert broken_lives(world) == []


def test_a_submission_whose_wake_up_was_lost_is_settled_at_the_next_tick(world: World) -> None:
    run_id = submitted(world, "everything")
    assert set(world.task_states(run_id).values()) == {"WAITING"}
    world.restart()
    before = world.wakes
    world.recorder.tick()
    states = world.task_states(run_id)
    assert {path for path, state in states.items() if state == "READY"} == {
        f"{E}.count",
        f"{E}.train",
        "inner.add",
    }
    assert states[f"{E}.importer"] == "SUCCEEDED"
    assert world.wakes == before + 1


def test_a_task_that_a_placer_rejected_is_followed_up_in_a_run_that_goes_on(world: World) -> None:
    run_id = submitted(world, "everything", cache=False)
    world.recorder.tick()
    world.reject(run_id, f"{E}.count", "no job can be made of it")
    world.clock.forward(6)
    world.recorder.tick()
    states = world.task_states(run_id)
    assert (states[f"{E}.count"], states[f"{E}.compare"], states["inner.add"]) == (
        "FAILED",
        "SKIPPED",
        "READY",
    )
    driver(world, run_id, program("everything")).run()
    assert world.task_states(run_id)["report"] == "SUCCEEDED"
    assert run_row(world, run_id)["error"] == f"task '{E}.count' failed: no job can be made of it"


def test_a_need_that_is_no_amount_fails_its_task_and_the_run_says_why(world: World) -> None:
    run_id = submitted(world, "sized", parameters={"cores": "plenty"}, cache=False)
    driver(world, run_id, program("sized")).run()
    assert world.task_states(run_id) == {"echo": "FAILED", "echo-2": "SUCCEEDED", "echo-3": "SUCCEEDED"}
    row = run_row(world, run_id)
    assert row["state"] == "FAILED"
    assert str(row["error"]).startswith("task 'echo' failed: ")
    assert world.one("SELECT reason_code, attempt FROM tasks WHERE path = 'echo'") == ("input_unresolved", 0)


def test_needs_from_an_output_are_in_the_spec_once_the_task_is_ready(world: World) -> None:
    run_id = submitted(world, "sized", cache=False)
    driver(world, run_id, program("sized")).run()
    query = "SELECT path, (spec -> 'resources' ->> 'millicores')::int, resized FROM tasks ORDER BY path"
    assert world.all(query) == [("echo", 2000, True), ("echo-2", 1000, False), ("echo-3", 3000, True)]
    assert world.one("SELECT spec -> 'upstream', upstream FROM tasks WHERE path = 'echo-3'") == (
        ["echo-2"],
        ["echo-2"],
    )


def test_a_pipeline_that_this_release_cannot_read_ends_its_run_after_what_is_live(world: World) -> None:
    run_id = submitted(world, "everything", cache=False)
    world.recorder.tick()
    live = world.place(run_id, f"{E}.count")
    world.hear(report(live, "RUNNING"))
    with world.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE pipeline_specs SET ir = '{}'")
    world.restart()
    world.hear(report(live, "RUNNING"))
    world.recorder.tick()
    world.clock.forward(6)
    world.recorder.tick()
    assert world.run_state(run_id).value == "RUNNING"
    world.hear(report(live, "SUCCEEDED"))
    row = run_row(world, run_id)
    assert row["state"] == "FAILED"
    assert "cannot be read by this release" in str(row["error"])
    states = world.task_states(run_id)
    assert states.pop(f"{E}.count") == "SUCCEEDED"
    assert states.pop(f"{E}.importer") == "SUCCEEDED"
    assert set(states.values()) == {"SKIPPED"}
    assert broken_lives(world) == []
    assert world.open_bookings() == 0


def test_a_run_that_is_canceled_runs_its_exit_task_and_ends(world: World) -> None:
    run_id = submitted(world, "guarded-loop", cache=False)
    hands = driver(world, run_id, program("guarded-loop"))
    world.recorder.tick()
    hands.step()
    hands.place()
    live = {str(key.path) for key in hands.live}
    assert live == {f"{LOOP}[{index}].add" for index in range(3)}
    world.request_cancel(run_id)
    world.recorder.tick()
    assert world.run_state(run_id).value == "CANCELING"
    assert {str(key.path) for key in world.agents.canceled} == live
    assert world.task_states(run_id)["report"] == "WAITING"
    world.request_cancel(run_id)
    world.recorder.tick()
    first, *others = hands.live
    hands.hear(report(first, "CANCELED"), report(others[0], "SUCCEEDED"))
    assert world.task_states(run_id)["report"] == "WAITING"
    hands.hear(report(others[1], "CANCELED"))
    states = world.task_states(run_id)
    assert states["report"] == "READY"
    assert {states[path] for path in live} == {"CANCELED"}
    world.agents.canceled.clear()
    hands.place()
    world.recorder.tick()
    assert world.agents.canceled == []
    assert world.run_state(run_id).value == "CANCELING"
    hands.run()
    assert hands.seen["report"].parameters["status"]["state"] == "CANCELLED"  # type: ignore[index]
    assert world.run_state(run_id).value == "CANCELED"
    assert world.task_states(run_id)["report"] == TaskState.SUCCEEDED
    assert broken_lives(world) == []


def test_an_exit_task_that_fails_in_a_canceled_run_leaves_it_canceled(world: World) -> None:
    run_id = submitted(world, "guarded-loop", cache=False)
    hands = driver(world, run_id, program("guarded-loop"), failures={"report": ALWAYS})
    world.recorder.tick()
    hands.place()
    world.request_cancel(run_id)
    world.recorder.tick()
    hands.hear(*(report(key, "CANCELED") for key in hands.live))
    hands.run()
    assert world.task_states(run_id)["report"] == "FAILED"
    assert world.run_state(run_id).value == "CANCELED"


def test_a_task_that_a_placer_takes_while_the_run_is_canceled_is_waited_for(world: World) -> None:
    """The placer commits after the recorder has read the rows; the exit task must not begin yet."""
    run_id = submitted(world, "guarded-loop", cache=False)
    world.recorder.tick()
    world.request_cancel(run_id)
    taken: list[AttemptKey] = []

    def take(*arguments: Any) -> None:
        if "UPDATE tasks AS t SET" in arguments[2] and not taken:
            taken.append(AttemptKey(run_id=run_id, path=TaskPath(f"{E}.count"), attempt=1))
            world.place(run_id, f"{E}.count")

    event.listen(world.engine, "before_cursor_execute", take)
    world.recorder.tick()
    event.remove(world.engine, "before_cursor_execute", take)
    assert world.task_states(run_id) == {
        f"{E}.count": "PLACED",
        f"{E}.total": "CANCELED",
        "report": "WAITING",
    }
    world.recorder.tick()
    assert world.agents.canceled == taken
    world.hear(report(taken[0], "CANCELED"))
    driver(world, run_id, program("guarded-loop")).run()
    assert world.run_state(run_id).value == "CANCELED"
    assert broken_lives(world) == []


def test_the_whole_corpus_ends_on_record_as_documented(world: World) -> None:
    """All its pipelines at once, through the gateway's and the recorder's own code."""
    large = Resources(millicores=1_000_000, memory_mib=1_000_000)
    world.hear(capacity=large)
    hands = Driver(world=world, capacity=large)
    runs: dict[RunId, Case] = {}
    for case in CASES:
        ir, platform = compiled_documents(case.pipeline)
        options = {"parameters": dict(case.parameters), "cache": False}
        run_id = world.submit_pipeline(ir, platforms=platform.get("platforms"), **options)
        runs[run_id] = case
        hands.programs[run_id] = read_program(ir, platform)
    hands.failures_of = {run_id: case.failures for run_id, case in runs.items()}
    hands.run()
    for run_id, case in runs.items():
        ends: dict[str, set[str]] = {"SUCCEEDED": set(), "FAILED": set(), "SKIPPED": set()}
        for path, state in world.task_states(run_id).items():
            ends[state].add(path)
        assert (world.run_state(run_id).value, ends) == (
            case.outcome,
            {
                "SUCCEEDED": set(case.succeeded.split()),
                "FAILED": set(case.failed.split()),
                "SKIPPED": set(case.skipped.split()),
            },
        ), case.name
        outputs = run_row(world, run_id)["outputs"]
        wanted = {name: run_id if value == FACTS.run_id else value for name, value in case.outputs.items()}
        assert {name: outputs.get(name) for name in wanted} == wanted, case.name
    assert broken_lives(world) == []
    assert world.open_bookings() == 0


def test_a_run_whose_rows_would_name_too_much_fails_with_a_word_and_leaves_no_half_of_them(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`total` may wait for four iterations, and no more."""
    monkeypatch.setattr(breadth, "MOST_UPSTREAM", 4 * len("for-loop-1[0].add"))
    run_id = submitted(world, "wide", parameters={"n": 4}, cache=False)
    hands = driver(world, run_id, program("wide"))
    hands.run()
    assert world.task_states(run_id)["total"] == "SUCCEEDED"

    run_id = submitted(world, "wide", parameters={"n": 5}, cache=False)
    driver(world, run_id, program("wide")).run()
    assert world.task_states(run_id) == {"count": "SUCCEEDED", "total": "SKIPPED"}
    assert world.one("SELECT upstream, reason_code FROM tasks WHERE run_id = :id AND path = 'total'", id=run_id) == (["count"], "run_too_large")  # fmt: skip
    row = run_row(world, run_id)
    assert row["state"] == "FAILED"
    assert "the names of all that its tasks wait for" in str(row["error"])
    assert broken_lives(world) == []
