"""The recorder against the real schema: what heartbeats, silence and requests to cancel make of a run."""

from datetime import timedelta

import pytest
from sqlalchemy import Engine, event, text

from nodewise.core.db.engine import transaction
from nodewise.core.db.queries.estimates import load_beliefs
from nodewise.core.lifecycle import AttemptState, RunState
from nodewise.core.model.artifact import TaskOutputs
from nodewise.core.model.decision import ReasonCode
from nodewise.core.model.resources import Resources
from nodewise.core.model.task import RetryPolicy
from tests.support.recording import NODE_SIZE, World, report
from tests.support.rows import NOW

CHAIN = {"prepare": [], "train": ["prepare"]}


@pytest.fixture
def world(engine: Engine) -> World:
    world = World(engine)
    world.hear()
    world.hear(node="n2")
    return world


def after(seconds: float) -> object:
    return NOW + timedelta(seconds=seconds)


def quiet(world: World, seconds: float) -> None:
    """Time passes in which the recorder ticks, and hears nobody."""
    for _ in range(int(seconds)):
        world.clock.forward(1)
        world.recorder.tick()


def test_a_node_is_known_with_its_capacity_after_its_first_heartbeat(world: World) -> None:
    query = "SELECT state, capacity_millicores FROM nodes JOIN node_loads ON node = name WHERE name = 'n1'"
    assert world.one(query) == ("READY", NODE_SIZE.millicores)


def test_a_node_that_shrinks_keeps_room_for_its_bookings_until_they_are_released(world: World) -> None:
    run_id = world.submit({"a": []})
    key = world.place(run_id, "a")
    small = Resources(millicores=50, memory_mib=20)
    query = (
        "SELECT capacity_millicores, capacity_memory_mib, booked_millicores FROM node_loads WHERE node = 'n1'"
    )
    world.hear(report(key), capacity=small)
    assert world.one(query) == (100, 20, 100)
    world.hear(report(key, "SUCCEEDED"), capacity=small)
    world.hear(capacity=small)
    assert world.one(query) == (50, 20, 0)


def test_a_run_starts_with_its_first_task_and_ends_with_its_last(world: World) -> None:
    run_id = world.submit(CHAIN)
    world.clock.forward(1)
    first = world.place(run_id, "prepare")
    world.clock.forward(2)
    world.hear(report(first, started_at=after(2)))
    assert world.run_state(run_id) is RunState.RUNNING
    world.clock.forward(2)
    world.hear(report(first, "SUCCEEDED", started_at=after(2), finished_at=after(4)))
    assert world.task_states(run_id) == {"prepare": "SUCCEEDED", "train": "READY"}
    second = world.place(run_id, "train", "n2")
    world.clock.forward(1)
    world.hear(report(second, "SUCCEEDED", started_at=after(5), finished_at=after(6)), node="n2")
    query = "SELECT state, scheduled_at, started_at, finished_at, error FROM runs"
    assert world.one(query) == ("SUCCEEDED", after(1), after(2), after(6), None)
    assert world.open_bookings() == 0


def test_an_end_whose_start_was_never_heard_counts(world: World) -> None:
    run_id = world.submit({"a": []})
    key = world.place(run_id, "a")
    world.clock.forward(5)
    outputs = TaskOutputs(parameters={"accuracy": float("nan"), "note": "a\x00b"})
    world.hear(report(key, "SUCCEEDED", started_at=after(1), finished_at=after(4), outputs=outputs))
    assert world.run_state(run_id) is RunState.SUCCEEDED
    query = "SELECT started_at, finished_at, outputs -> 'parameters' FROM tasks"
    assert world.one(query) == (after(1), after(4), {"accuracy": None, "note": "ab"})
    with world.engine.connect() as connection:
        beliefs = load_beliefs(connection)
    assert [samples.seen for samples in beliefs.seconds.values()] == [1]


def test_the_same_heartbeat_twice_changes_nothing_the_second_time(world: World) -> None:
    run_id = world.submit(CHAIN)
    key = world.place(run_id, "prepare")
    world.clock.forward(5)
    end = world.hear(report(key, "SUCCEEDED", started_at=after(1), finished_at=after(4), peak_memory_mib=70))
    written = "SELECT (SELECT count(*) FROM events), (SELECT jsonb_agg(e) FROM runtime_estimates AS e)"
    once = world.one(written)
    world.recorder.on_heartbeat(end)
    assert world.one(written) == once
    with world.engine.connect() as connection:
        beliefs = load_beliefs(connection)
    assert [samples.seen for samples in (*beliefs.seconds.values(), *beliefs.memory.values())] == [1, 1]
    assert world.agents.forgotten == [key, key]


def test_a_failure_is_tried_again_after_its_back_off_and_then_fails_the_run(world: World) -> None:
    run_id = world.submit(CHAIN, retry=RetryPolicy(max_retries=1, backoff=timedelta(seconds=30)))
    first = world.place(run_id, "prepare")
    world.hear(report(first, "FAILED", exit_code=1, reason=ReasonCode.EXIT_CODE, message="boom"))
    query = "SELECT state, failures, not_before, reason_code FROM tasks WHERE path = 'prepare'"
    assert world.one(query) == ("READY", 1, after(30), "retry_backoff")
    second = world.place(run_id, "prepare")
    assert second.attempt == 2
    world.hear(report(second, "FAILED", exit_code=1, reason=ReasonCode.OUT_OF_MEMORY, message="too big"))
    assert world.task_states(run_id) == {"prepare": "FAILED", "train": "SKIPPED"}
    assert world.one("SELECT state, error FROM runs") == ("FAILED", "task 'prepare' failed: too big")
    query = "SELECT reason_code, reason FROM tasks WHERE path = 'train'"
    assert world.one(query) == ("upstream_failed", "prepare is FAILED")


def test_other_branches_go_on_after_a_failure(world: World) -> None:
    run_id = world.submit({"a": [], "b": [], "join": ["a", "b"]})
    a, b = world.place(run_id, "a"), world.place(run_id, "b")
    world.hear(report(a, "FAILED"), report(b))
    assert world.task_states(run_id) == {"a": "FAILED", "b": "RUNNING", "join": "SKIPPED"}
    assert world.run_state(run_id) is RunState.RUNNING
    world.hear(report(b, "SUCCEEDED"))
    assert world.run_state(run_id) is RunState.FAILED


def test_an_attempt_whose_lease_ended_is_lost_and_its_late_report_changes_nothing(world: World) -> None:
    run_id = world.submit({"a": []})
    key = world.place(run_id, "a")
    world.hear(report(key))
    for _ in range(25):
        world.clock.forward(1)
        world.hear(node="n2")
        world.recorder.tick()
    assert world.attempt_state(key) is AttemptState.LOST
    assert world.task_states(run_id) == {"a": "READY"}
    assert world.one("SELECT state FROM nodes WHERE name = 'n1'") == ("GONE",)
    assert world.open_bookings() == 0
    again = world.place(run_id, "a", "n2")
    world.hear(report(key, "SUCCEEDED"))
    assert world.attempt_state(again) is AttemptState.PLACED
    assert world.agents.forgotten == [key]
    assert world.one("SELECT state FROM nodes WHERE name = 'n1'") == ("READY",)
    assert world.one("SELECT failures FROM tasks") == (0,)


def test_a_lost_attempt_that_still_runs_is_told_to_stop(world: World) -> None:
    run_id = world.submit({"a": []})
    key = world.place(run_id, "a")
    world.hear(report(key))
    world.clock.forward(1)
    world.hear()
    world.hear(report(key))
    assert world.agents.canceled == [key]
    assert world.attempt_state(key) is AttemptState.LOST


def test_an_attempt_that_the_agent_forgot_is_lost_at_once(world: World) -> None:
    run_id = world.submit({"a": []})
    key = world.place(run_id, "a")
    world.hear(report(key))
    world.clock.forward(1)
    world.hear(boot="boot-2")
    assert world.attempt_state(key) is AttemptState.LOST
    assert world.one("SELECT end_code FROM attempts") == ("agent_forgot",)


def test_an_attempt_that_the_agent_has_not_heard_of_yet_is_not_lost(world: World) -> None:
    run_id = world.submit({"a": []})
    key = world.place(run_id, "a")
    world.clock.forward(1)
    world.hear()
    assert world.attempt_state(key) is AttemptState.PLACED


def test_an_old_heartbeat_brings_ends_but_its_silence_says_nothing(world: World) -> None:
    run_id = world.submit({"a": [], "b": []})
    a, b = world.place(run_id, "a"), world.place(run_id, "b")
    world.clock.forward(1)
    old = world.heartbeat(report(a, "SUCCEEDED"))
    world.clock.forward(1)
    world.hear(report(a), report(b))
    world.recorder.on_heartbeat(old)
    assert world.task_states(run_id) == {"a": "SUCCEEDED", "b": "RUNNING"}


def test_a_task_that_is_lost_again_and_again_is_given_up(world: World) -> None:
    run_id = world.submit({"a": []})
    for number in range(1, 11):
        key = world.place(run_id, "a")
        assert key.attempt == number
        world.hear(report(key))
        world.clock.forward(1)
        world.hear()
    assert world.task_states(run_id) == {"a": "FAILED"}
    (error,) = world.one("SELECT error FROM runs")
    assert "lost 10 times" in str(error)


def test_nothing_is_lost_for_a_lease_after_a_restart_of_the_recorder(world: World) -> None:
    run_id = world.submit({"a": []})
    key = world.place(run_id, "a")
    world.hear(report(key))
    world.clock.forward(60)
    world.restart()
    world.recorder.tick()
    quiet(world, 9)
    assert world.attempt_state(key) is AttemptState.RUNNING
    world.hear(report(key))
    quiet(world, 5)
    assert world.attempt_state(key) is AttemptState.RUNNING


def test_nothing_is_lost_while_the_broker_is_away(world: World) -> None:
    run_id = world.submit({"a": []})
    key = world.place(run_id, "a")
    world.hear(report(key))
    world.listening = False
    quiet(world, 60)
    world.listening = True
    quiet(world, 9)
    assert world.attempt_state(key) is AttemptState.RUNNING


def test_silence_of_all_is_believed_in_the_end(world: World) -> None:
    run_id = world.submit({"a": []})
    key = world.place(run_id, "a")
    world.restart()
    quiet(world, 31)
    assert world.attempt_state(key) is AttemptState.LOST


def test_a_canceled_run_ends_when_its_last_task_does(world: World) -> None:
    run_id = world.submit({"a": [], "b": ["a"], "c": []})
    key = world.place(run_id, "a")
    world.hear(report(key))
    world.request_cancel(run_id)
    world.recorder.tick()
    assert world.run_state(run_id) is RunState.CANCELING
    assert world.task_states(run_id) == {"a": "RUNNING", "b": "CANCELED", "c": "CANCELED"}
    assert world.agents.canceled == [key]
    world.recorder.tick()
    assert world.agents.canceled == [key, key]
    world.hear(report(key, "SUCCEEDED"))
    assert world.task_states(run_id)["a"] == "CANCELED"
    assert world.run_state(run_id) is RunState.CANCELED


def test_a_run_that_never_started_is_canceled_at_once(world: World) -> None:
    run_id = world.submit(CHAIN)
    world.request_cancel(run_id)
    world.recorder.tick()
    assert world.run_state(run_id) is RunState.CANCELED


def test_what_an_interrupted_recorder_left_is_repaired_at_the_next_start(world: World) -> None:
    waiting, open_end = world.submit(CHAIN), world.submit({"a": []})
    with transaction(world.engine) as connection:
        connection.execute(text("UPDATE tasks SET state = 'SUCCEEDED' WHERE path IN ('prepare', 'a')"))
    world.restart()
    world.recorder.tick()
    assert world.task_states(waiting)["train"] == "READY"
    assert world.run_state(open_end) is RunState.SUCCEEDED


def test_a_task_that_a_placer_rejected_ends_its_run(world: World) -> None:
    run_id = world.submit(CHAIN)
    world.reject(run_id, "prepare", "its pipeline cannot be read")
    world.clock.forward(6)
    world.recorder.tick()
    assert world.task_states(run_id) == {"prepare": "FAILED", "train": "SKIPPED"}
    assert world.one("SELECT state, error FROM runs") == (
        "FAILED",
        "task 'prepare' failed: its pipeline cannot be read",
    )


def test_the_nodes_clock_is_believed_only_between_placement_and_now(world: World) -> None:
    run_id = world.submit({"a": []})
    world.clock.forward(10)
    key = world.place(run_id, "a")
    world.clock.forward(10)
    world.hear(report(key, "SUCCEEDED", started_at=after(-100), finished_at=after(1000)))
    assert world.one("SELECT started_at, finished_at FROM attempts") == (after(10), after(20))


def test_an_orderly_stop_takes_the_node_out_at_once(world: World) -> None:
    world.hear(leaving=True)
    assert world.one("SELECT state FROM nodes WHERE name = 'n1'") == ("GONE",)


def test_five_hundred_ends_in_one_heartbeat_take_few_statements(world: World) -> None:
    run_id = world.submit({f"t{number}": [] for number in range(500)})
    world.hear(capacity=Resources(millicores=50000, memory_mib=50000))
    keys = [world.place(run_id, f"t{number}") for number in range(500)]
    statements: list[object] = []
    event.listen(world.engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    world.hear(*(report(key, "SUCCEEDED", started_at=NOW, finished_at=NOW) for key in keys))
    assert world.run_state(run_id) is RunState.SUCCEEDED
    assert len(statements) < 40


def test_the_scheduler_is_woken_only_when_there_is_something_to_decide(world: World) -> None:
    run_id = world.submit({"a": []})
    key = world.place(run_id, "a")
    before = world.wakes
    world.hear(report(key))
    world.recorder.tick()
    assert world.wakes == before
    world.hear(report(key, "SUCCEEDED"))
    assert world.wakes == before + 1
