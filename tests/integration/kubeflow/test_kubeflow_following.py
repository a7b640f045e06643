"""What became of runs: all are seen, nothing is called failed that is not, and looking costs what is live."""

from datetime import timedelta
from typing import Any

import pytest

from nodewise.core.engine.kubeflow.client import KfpClient
from nodewise.core.engine.kubeflow.connection import KfpConnection
from nodewise.core.engine.kubeflow.errors import KfpUnavailable
from nodewise.core.engine.kubeflow.following import every_run, new_runs, poll, sight
from nodewise.core.engine.kubeflow.leaves import run_once
from nodewise.core.engine.kubeflow.runs import KfpState, run_event
from nodewise.core.engine.kubeflow.submission import body_of
from nodewise.core.engine.kubeflow.tasks import SightedState
from nodewise.core.lifecycle import RunEvent
from tests.support.kfp_server.behaviour import Outcome, by_task
from tests.support.kfp_server.cluster import FakeNode
from tests.support.kfp_server.faults import Fault
from tests.support.kfp_server.server import KfpServer
from tests.support.kubeflow import a_submission

Document = tuple[dict[str, Any], dict[str, Any]]


def post(kfp: KfpClient, document: Document) -> str:
    return kfp.create_run(body_of(a_submission(document))).run_id


def test_more_runs_than_any_page_holds_are_all_told_once_oldest_first(
    server: KfpServer, patient: KfpClient, chain_ir: Document
) -> None:
    made = []
    for number in range(450):
        made.append(post(patient, chain_ir))
        if number % 100 == 0:
            server.clock.now += timedelta(seconds=1)
    seen = [run.run_id for run in every_run(patient)]
    assert sorted(seen) == sorted(made)
    assert len(seen) == 450
    assert len(patient.list_runs(page_size=1000).runs) == 200
    assert len(patient.list_runs(page_size=0).runs) == 20


def test_runs_that_come_while_the_pages_are_read_are_not_missed(
    server: KfpServer, patient: KfpClient, chain_ir: Document
) -> None:
    old = {post(patient, chain_ir) for _ in range(205)}
    reading = every_run(patient)
    first = next(reading)
    server.clock.now += timedelta(seconds=5)
    late = {post(patient, chain_ir) for _ in range(3)}
    assert {first.run_id, *(run.run_id for run in reading)} == old | late


def test_a_watermark_finds_what_is_new_even_if_its_clock_was_behind(
    server: KfpServer, kfp: KfpClient, chain_ir: Document
) -> None:
    server.clock.now += timedelta(hours=1)
    first = post(kfp, chain_ir)
    runs, watermark = new_runs(kfp, since=None)
    assert [run.run_id for run in runs] == [first]
    server.clock.now -= timedelta(seconds=30)
    behind = post(kfp, chain_ir)
    runs, watermark = new_runs(kfp, since=watermark)
    assert behind in {run.run_id for run in runs}
    server.clock.now += timedelta(hours=1)
    newest = post(kfp, chain_ir)
    runs, watermark = new_runs(kfp, since=watermark)
    assert newest in {run.run_id for run in runs}
    server.clock.now += timedelta(hours=1)
    post(kfp, chain_ir)
    runs, _ = new_runs(kfp, since=watermark)
    assert first not in {run.run_id for run in runs}


def test_no_runs_at_all_keep_the_watermark(kfp: KfpClient) -> None:
    assert new_runs(kfp, since=None) == ((), None)


def test_a_poll_costs_what_is_live_not_what_has_ended(
    server: KfpServer, patient: KfpClient, chain_ir: Document
) -> None:
    for _ in range(60):
        post(patient, chain_ir)
    server.settle()
    live = {post(patient, chain_ir) for _ in range(3)}
    server.turn(0.5)
    server.requests.clear()
    found = poll(patient, live, digests={})
    assert set(found.runs) == live
    assert len(server.requests) == 1


def test_a_poll_without_anything_to_follow_asks_nothing(server: KfpServer, kfp: KfpClient) -> None:
    assert poll(kfp, [], digests={}).runs == {}
    assert server.requests == []


def test_a_poll_tells_what_ended_since_and_what_changed(
    server: KfpServer, kfp: KfpClient, chain_ir: Document
) -> None:
    server.behave = by_task(double_2=Outcome(seconds=100))
    run_id = post(kfp, chain_ir)
    server.turn(2)
    first = poll(kfp, [run_id], digests={})
    assert first.changed == {run_id}
    again = poll(kfp, [run_id], digests=first.digests)
    assert again.changed == frozenset()
    server.settle()
    ended = poll(kfp, [run_id], digests=again.digests)
    assert ended.changed == {run_id}
    assert ended.runs[run_id].state is KfpState.SUCCEEDED
    assert ended.runs[run_id].finished_at is not None


def test_a_run_that_kfp_lost_is_unknown_not_failed(
    server: KfpServer, kfp: KfpClient, chain_ir: Document
) -> None:
    lost, kept = post(kfp, chain_ir), post(kfp, chain_ir)
    server.lose(lost)
    found = poll(kfp, [lost, kept], digests={})
    assert found.unknown == {lost}
    assert set(found.runs) == {kept}


@pytest.mark.parametrize("fault", [Fault.ERROR_BEFORE, Fault.CUT_BEFORE, Fault.SLOW_BEFORE, Fault.GARBAGE])
def test_a_poll_that_is_not_answered_tells_nothing(
    server: KfpServer, kfp: KfpClient, chain_ir: Document, fault: Fault
) -> None:
    run_id = post(kfp, chain_ir)
    server.faults.add(fault, method="GET")
    with pytest.raises(KfpUnavailable):
        poll(kfp, [run_id], digests={})
    assert set(poll(kfp, [run_id], digests={}).runs) == {run_id}


def test_a_list_that_breaks_off_between_pages_tells_nothing(
    server: KfpServer, patient: KfpClient, chain_ir: Document
) -> None:
    made = [post(patient, chain_ir) for _ in range(201)]
    reading = every_run(patient)
    next(reading)
    server.faults.add(Fault.ERROR_BEFORE, method="GET")
    with pytest.raises(KfpUnavailable):
        list(reading)
    assert set(poll(patient, made, digests={}).runs) == set(made)


def test_a_server_that_restarts_between_two_polls_tells_the_same(
    server: KfpServer, kfp: KfpClient, chain_ir: Document
) -> None:
    run_id = post(kfp, chain_ir)
    server.turn(1)
    before = poll(kfp, [run_id], digests={})
    server.restart()
    try:
        after = poll(kfp, [run_id], digests=before.digests)
    except KfpUnavailable:
        # The first request may still find the connection that the old server left.
        after = poll(kfp, [run_id], digests=before.digests)
    assert after.runs[run_id].state is KfpState.RUNNING
    assert after.changed == frozenset()


def test_only_who_cancelled_knows_that_a_terminated_run_was_cancelled(
    server: KfpServer, kfp: KfpClient, chain_ir: Document
) -> None:
    run_id = post(kfp, chain_ir)
    server.turn(0)
    kfp.act(run_id, "terminate")
    canceling = poll(kfp, [run_id], digests={}).runs[run_id]
    assert canceling.state is KfpState.CANCELING
    assert run_event(canceling, cancel_requested=True) is None
    server.settle()
    ended = poll(kfp, [run_id], digests={}).runs[run_id]
    assert ended.state is KfpState.FAILED
    assert run_event(ended, cancel_requested=True) is RunEvent.CANCEL
    assert run_event(ended, cancel_requested=False) is RunEvent.FAIL


def test_tasks_have_paths_nodes_attempts_and_ends(
    server: KfpServer, kfp: KfpClient, rich_ir: Document
) -> None:
    failures = iter(["out of memory"])

    def behave(execution: Any) -> Outcome:
        if execution.task == "double" and "for-loop" not in execution.path:
            return Outcome(fails=next(failures, None), outputs={"Output": 5})
        return Outcome()

    server.behave = behave
    run_id = post(kfp, rich_ir)
    server.settle()
    run = kfp.get_run(run_id)
    assert run is not None
    tasks = {task.path: task for task in sight(kfp, run).tasks}
    body = "exit-handler-1"
    retried = tasks[f"{body}.double"]
    assert (retried.attempts, retried.state, retried.message) == (2, SightedState.SUCCEEDED, None)
    loop = sorted(path for path in tasks if "for-loop" in path)
    assert loop == [f"{body}.for-loop-3[{index}].double-2" for index in range(3)]
    assert all(tasks[path].node in {"n1", "n2"} for path in loop)
    skipped = [task.path for task in tasks.values() if task.state is SightedState.SKIPPED]
    assert skipped == [f"{body}.condition-branches-4.condition-5"]
    assert tasks["report"].state is SightedState.SUCCEEDED
    assert all(
        task.started_at and task.ended_at for task in tasks.values() if task.state is SightedState.SUCCEEDED
    )


def test_a_cluster_that_takes_not_even_kfps_own_pods_is_the_reason_of_the_run(chain_ir: Document) -> None:
    nodes = [FakeNode(name="n1", taints=({"key": "team", "value": "vision", "effect": "NoSchedule"},))]
    with KfpServer(nodes) as server:
        kfp = KfpClient(KfpConnection(url=server.url))
        run_id = post(kfp, chain_ir)
        server.turn(5)
        run = poll(kfp, [run_id], digests={}).runs[run_id]
        assert run.state is KfpState.RUNNING
        found = sight(kfp, run)
        assert found.tasks == ()
        assert found.message == (
            "Unschedulable: 0/1 nodes are available: 1 node(s) had untolerated taint {team: vision}."
        )
        kfp.close()


def test_a_task_of_which_kubernetes_says_that_it_fits_nowhere(
    server: KfpServer, kfp: KfpClient, chain_ir: Document
) -> None:
    ir, _ = chain_ir
    elsewhere = {"nodeSelector": {"labels": {"kubernetes.io/hostname": "gone"}}}
    platforms = {"kubernetes": {"deploymentSpec": {"executors": {"exec-double": elsewhere}}}}
    run_id = post(kfp, (ir, platforms))
    server.turn(5)
    first = poll(kfp, [run_id], digests={})
    (task,) = sight(kfp, first.runs[run_id]).tasks
    assert (task.path, task.state, task.node) == ("double", SightedState.UNSCHEDULABLE, None)
    assert task.message == (
        "Unschedulable: 0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector."
    )
    assert poll(kfp, [run_id], digests=first.digests).changed == {run_id}, "its reason may change unseen"
    server.cluster.nodes["gone"] = FakeNode(name="gone")
    server.settle()
    run = kfp.get_run(run_id)
    assert run is not None
    assert {task.path: task.node for task in sight(kfp, run).tasks}["double"] == "gone"


def test_without_a_workflow_states_come_from_v2_without_nodes(
    server: KfpServer, kfp: KfpClient, chain_ir: Document
) -> None:
    run_id = post(kfp, chain_ir)
    server.settle()
    server.drop_manifests()
    run = kfp.get_run(run_id)
    assert run is not None
    found = sight(kfp, run, once=run_once(chain_ir[0]))
    assert not found.detailed
    assert [(task.path, task.state, task.node) for task in found.tasks] == [
        ("double", SightedState.SUCCEEDED, None),
        ("double-2", SightedState.SUCCEEDED, None),
    ]


def test_a_run_that_was_just_posted_has_no_tasks_yet(kfp: KfpClient, chain_ir: Document) -> None:
    run_id = post(kfp, chain_ir)
    run = kfp.get_run(run_id)
    assert run is not None
    assert sight(kfp, run).tasks == ()
