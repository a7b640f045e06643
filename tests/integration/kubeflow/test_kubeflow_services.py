"""A run on KFP from its submission to its end: queue, nodes, reasons and record are ours, the DAG is KFP's."""

from typing import Any

from tests.support.kfp_server.behaviour import Execution, Outcome, by_task
from tests.support.kubeflow_services import Services
from tests.support.placing import all_rows

Document = tuple[dict[str, Any], dict[str, Any]]


def test_a_run_is_bound_as_a_whole_submitted_and_followed_to_its_end(
    services: Services, chain_ir: Document
) -> None:
    run_id = services.submit(chain_ir, parameters={"n": 4}, name="first")
    assert services.tasks(run_id) == {"double": "READY", "double-2": "WAITING"}
    services.hand_over()
    assert services.tasks(run_id) == {"double": "PLACED", "double-2": "PLACED"}
    assert services.run(run_id) == ("PENDING", None)
    assert services.submission(run_id)["confirmed_at"] is not None
    services.server.turn(0.5)
    services.follower.look()
    assert services.run(run_id)[0] == "RUNNING"
    assert services.tasks(run_id) == {"double": "RUNNING", "double-2": "PLACED"}
    services.server.settle()
    services.follower.look()
    assert services.run(run_id) == ("SUCCEEDED", None)
    assert services.tasks(run_id) == {"double": "SUCCEEDED", "double-2": "SUCCEEDED"}
    ran = services.server.hosts(run_id)
    assert {f"root.{path}.executor": node for path, node in services.nodes(run_id).items()} == ran


def test_only_what_may_start_is_booked_until_the_rest_is_seen_running(
    services: Services, chain_ir: Document
) -> None:
    run_id = services.submit(chain_ir)
    services.hand_over()
    booked = "SELECT path FROM bookings WHERE released_at IS NULL ORDER BY path"
    assert all_rows(services.engine, booked) == [("double",)]
    services.server.turn(1.5)
    services.follower.look()
    assert services.tasks(run_id) == {"double": "SUCCEEDED", "double-2": "RUNNING"}
    assert all_rows(services.engine, booked) == [("double-2",)]
    services.server.settle()
    services.follower.look()
    assert all_rows(services.engine, booked) == []


def test_every_attempt_says_why_it_is_where_it_is(services: Services, chain_ir: Document) -> None:
    run_id = services.submit(chain_ir)
    services.hand_over()
    rows = all_rows(
        services.engine,
        "SELECT path, reason, jsonb_array_length(candidates), predicted_seconds > 0 FROM attempts "
        "WHERE run_id = :id ORDER BY path",
        id=run_id,
    )
    (first, why, candidates, predicted), (second, later, more, also) = rows
    assert (first, candidates, predicted, second, more, also) == ("double", 2, True, "double-2", 2, True)
    assert "bound before its turn" not in str(why)
    assert str(later).startswith("bound before its turn, expected about ")


def test_what_ran_is_learned_by_kfps_clock(services: Services, chain_ir: Document) -> None:
    services.server.behave = by_task(double=Outcome(seconds=7), double_2=Outcome(seconds=7))
    services.submit(chain_ir)
    services.run_to_the_end()
    rows = all_rows(services.engine, "SELECT task_class, seconds FROM runtime_estimates")
    assert [task_class for task_class, _ in rows] == ["other/double"]
    spans = all_rows(
        services.engine, "SELECT extract(epoch FROM finished_at - started_at)::int FROM attempts"
    )
    assert spans == [(7,), (7,)]


def test_iterations_branches_and_exit_tasks_are_told_apart(services: Services, rich_ir: Document) -> None:
    services.server.behave = by_task(double=Outcome(outputs={"Output": 5}))
    run_id = services.submit(rich_ir)
    services.run_to_the_end()
    assert services.run(run_id) == ("SUCCEEDED", None)
    body = "exit-handler-1"
    assert services.tasks(run_id) == {
        f"{body}.double": "SUCCEEDED",
        f"{body}.condition-branches-4.condition-5.gather-2": "SKIPPED",
        f"{body}.condition-branches-4.condition-6.gather-3": "SUCCEEDED",
        f"{body}.for-loop-3[0].double-2": "SUCCEEDED",
        f"{body}.for-loop-3[1].double-2": "SUCCEEDED",
        f"{body}.for-loop-3[2].double-2": "SUCCEEDED",
        f"{body}.gather": "SUCCEEDED",
        "report": "SUCCEEDED",
    }
    code, _ = services.reasons(run_id)[f"{body}.condition-branches-4.condition-5.gather-2"]
    assert code == "condition_not_met"


def test_attempts_that_kfp_makes_by_itself_are_on_record(services: Services, rich_ir: Document) -> None:
    def behave(execution: Execution) -> Outcome:
        fails = execution.task == "double" and execution.attempt == 0
        return Outcome(seconds=5, fails="out of memory" if fails else None)

    services.server.behave = behave
    run_id = services.submit(rich_ir)
    services.hand_over()
    for _ in range(3):
        services.server.turn(3)
        services.follower.look()
    services.run_to_the_end()
    attempts = all_rows(
        services.engine,
        "SELECT attempt, state FROM attempts WHERE run_id = :id AND path = 'exit-handler-1.double' ORDER BY attempt",
        id=run_id,
    )
    assert attempts == [(1, "FAILED"), (2, "SUCCEEDED")]
    assert all_rows(
        services.engine,
        "SELECT attempt, failures FROM tasks WHERE run_id = :id AND path = 'exit-handler-1.double'",
        id=run_id,
    ) == [(2, 1)]
    assert services.run(run_id)[0] == "SUCCEEDED"


def test_a_run_that_fails_says_which_task_and_what_kubernetes_said(
    services: Services, chain_ir: Document
) -> None:
    services.server.behave = by_task(double=Outcome(fails="OOMKilled (exit code 137)"))
    run_id = services.submit(chain_ir)
    services.run_to_the_end()
    assert services.run(run_id) == ("FAILED", "task 'double' failed: OOMKilled (exit code 137)")
    assert services.tasks(run_id) == {"double": "FAILED", "double-2": "SKIPPED"}
    assert services.woken[-1] == "scheduler", "room became free"


def test_looking_again_changes_nothing(services: Services, rich_ir: Document) -> None:
    services.submit(rich_ir)
    services.hand_over()
    services.server.turn(1.5)
    services.follower.look()
    before = all_rows(services.engine, "SELECT * FROM events ORDER BY id")
    services.make_follower().look()
    services.follower.look()
    assert all_rows(services.engine, "SELECT * FROM events ORDER BY id") == before
