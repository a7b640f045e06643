"""What the recorder makes of what KFP shows, and of what it does not: cancels, losses, outages, nodes."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from kfp import dsl

from tests.support.kfp_server.behaviour import Outcome, by_task
from tests.support.kfp_server.cluster import FakeNode
from tests.support.kfp_server.faults import Fault
from tests.support.kubeflow import compiled
from tests.support.kubeflow_services import Services
from tests.support.placing import all_rows

Document = tuple[dict[str, Any], dict[str, Any]]


@dsl.component(base_image="python:3.11")
def numbers() -> list:
    return []


@dsl.component(base_image="python:3.11")
def use_first(n: int) -> int:
    return n


@dsl.component(base_image="python:3.11")
def use(n: int):
    pass


@dsl.pipeline(name="looping")
def looping():
    with dsl.ParallelFor(numbers().output) as item:
        use(n=use_first(n=item).output)


@pytest.fixture(scope="session")
def looping_ir(tmp_path_factory: pytest.TempPathFactory) -> Document:
    """A loop over what its first task leaves, two tasks a round."""
    return compiled(looping, Path(tmp_path_factory.mktemp("looping")))


@pytest.mark.parametrize("items", [0, 1, 4])
def test_rounds_of_a_loop_get_rows_when_they_appear_and_none_when_they_do_not(
    services: Services, looping_ir: Document, items: int
) -> None:
    services.server.behave = by_task(numbers=Outcome(outputs={"Output": list(range(items))}))
    run_id = services.submit(looping_ir)
    loop = next(path for path in services.tasks(run_id) if "[0]" in path).partition("[")[0]
    assert set(services.tasks(run_id)) == {"numbers", f"{loop}[0].use-first", f"{loop}[0].use"}
    services.hand_over()
    for _ in range(4):
        services.server.turn(0.7)
        services.follower.look()
    services.server.settle()
    services.follower.look()
    assert services.run(run_id) == ("SUCCEEDED", None)
    tasks = services.tasks(run_id)
    rounds = {f"{loop}[{index}].{name}" for index in range(items) for name in ("use-first", "use")}
    assert {path for path, state in tasks.items() if state == "SUCCEEDED"} == {"numbers", *rounds}
    skipped = {path for path, state in tasks.items() if state == "SKIPPED"}
    assert skipped == (set() if items else {f"{loop}[0].use-first", f"{loop}[0].use"})
    upstream = dict(
        all_rows(services.engine, "SELECT path, upstream FROM tasks WHERE run_id = :id", id=run_id)
    )
    for index in range(items):
        assert upstream[f"{loop}[{index}].use"] == [f"{loop}[{index}].use-first"]


def test_rounds_run_where_their_loop_is_bound_to(services: Services, looping_ir: Document) -> None:
    services.server.behave = by_task(numbers=Outcome(outputs={"Output": [1, 2, 3]}))
    run_id = services.submit(looping_ir)
    services.run_to_the_end()
    hosts = services.server.hosts(run_id)
    bound = services.submission(run_id)["nodes"]
    for name, node in hosts.items():
        leaf = next(path for path in bound if path.rpartition(".")[2] == name.split(".")[-2])
        assert node in bound[leaf]


def test_rounds_that_nobody_could_count_before_use_all_nodes(
    services: Services, looping_ir: Document
) -> None:
    for name, node in list(services.server.cluster.nodes.items()):
        services.server.cluster.nodes[name] = replace(node, millicores=2000)
    small = {"resourceCpuRequest": "1", "resourceMemoryRequest": "100Mi"}
    for executor in looping_ir[0]["deploymentSpec"]["executors"].values():
        executor["container"]["resources"] = small
    services.server.behave = by_task(numbers=Outcome(outputs={"Output": list(range(4))}))
    run_id = services.submit(looping_ir)
    services.run_to_the_end()
    assert services.run(run_id) == ("SUCCEEDED", None)
    firsts = {node for path, node in services.hosts(run_id).items() if path.endswith("use-first")}
    assert firsts == {"n1", "n2"}


def test_a_run_is_canceled_although_kfp_calls_it_failed(services: Services, chain_ir: Document) -> None:
    services.server.behave = by_task(double=Outcome(seconds=100))
    run_id = services.submit(chain_ir)
    services.hand_over()
    services.server.turn(1)
    services.follower.look()
    services.cancel(run_id)
    services.server.faults.add(Fault.ERROR_BEFORE, part=":terminate")
    services.follower.look()
    assert services.run(run_id)[0] == "CANCELING"
    services.follower.look()
    services.server.turn(1)
    services.follower.look()
    assert services.run(run_id) == ("CANCELED", None)
    assert services.tasks(run_id) == {"double": "CANCELED", "double-2": "CANCELED"}
    assert services.server.cluster.bound_to("n1") == services.server.cluster.bound_to("n2") == []


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_a_run_that_is_canceled_before_its_post_is_never_posted(
    services: Services, chain_ir: Document, steps: int
) -> None:
    services.watch.look()
    run_id = services.submit(chain_ir)
    for step in [services.scheduler.look, services.placer.look][:steps]:
        step()
    services.cancel(run_id)
    services.follower.look()
    services.scheduler.look()
    services.placer.look()
    services.submitter.look()
    services.follower.look()
    assert services.run(run_id) == ("CANCELED", None)
    assert set(services.tasks(run_id).values()) == {"CANCELED"}
    assert services.server.workflows(run_id) == []


def test_a_run_that_is_canceled_while_its_post_is_uncertain_ends_once_that_is_certain(
    services: Services, chain_ir: Document
) -> None:
    services.server.faults.add(Fault.CUT_BEFORE, method="POST", part="/runs")
    run_id = services.submit(chain_ir)
    services.hand_over()
    services.cancel(run_id)
    services.follower.look()
    services.server.turn(30)
    services.submitter.look()
    services.follower.look()
    assert services.run(run_id)[0] != "CANCELED"
    services.server.turn(60)
    services.submitter.look()
    services.follower.look()
    assert services.run(run_id)[0] == "CANCELED"
    assert services.server.workflows(run_id) == []


def test_a_pod_that_fits_nowhere_says_so_on_its_task(services: Services, chain_ir: Document) -> None:
    services.watch.look()
    run_id = services.submit(chain_ir)
    services.scheduler.look()
    services.placer.look()
    node = services.nodes(run_id)["double"]
    known = services.server.cluster.nodes
    known[node] = replace(known[node], cordoned=True)
    services.submitter.look()
    services.server.turn(1)
    services.follower.look()
    code, text = services.reasons(run_id)["double"]
    assert code == "pod_unschedulable"
    assert text.startswith("Unschedulable: 0/2 nodes are available: ")
    assert services.tasks(run_id)["double"] == "PLACED"
    known[node] = replace(known[node], cordoned=False)
    services.server.settle()
    services.follower.look()
    assert services.run(run_id)[0] == "SUCCEEDED"


def test_kfps_own_pods_that_fit_nowhere_are_said_by_the_first_tasks(
    services: Services, chain_ir: Document
) -> None:
    taint = {"key": "team", "value": "vision", "effect": "NoSchedule"}
    services.watch.look()
    run_id = services.submit(chain_ir)
    services.scheduler.look()
    services.placer.look()
    for name, node in list(services.server.cluster.nodes.items()):
        services.server.cluster.nodes[name] = replace(node, taints=(taint,))
    services.submitter.look()
    services.server.turn(1)
    services.follower.look()
    code, text = services.reasons(run_id)["double"]
    assert (code, text.partition(":")[0]) == ("pod_unschedulable", "KFP's own pod of the run")


@pytest.mark.parametrize(
    "fault", [Fault.ERROR_BEFORE, Fault.CUT_BEFORE, Fault.SLOW_BEFORE, Fault.GARBAGE, Fault.NO_ROUTE]
)
def test_a_kfp_that_does_not_answer_makes_nothing_fail(
    services: Services, chain_ir: Document, fault: Fault
) -> None:
    run_id = services.submit(chain_ir)
    services.hand_over()
    services.server.turn(0.5)
    services.follower.look()
    services.server.faults.add(fault, method="GET", times=2)
    before = services.tasks(run_id)
    for _ in range(2):
        services.follower.look()
        services.server.clock.now += timedelta(minutes=10)
    assert services.tasks(run_id) == before
    assert services.run(run_id)[0] == "RUNNING"
    services.server.faults.clear()
    services.server.settle()
    services.follower.look()
    assert services.run(run_id) == ("SUCCEEDED", None)


def test_details_that_are_not_answered_are_read_at_the_next_look(
    services: Services, chain_ir: Document
) -> None:
    run_id = services.submit(chain_ir)
    services.hand_over()
    services.server.settle()
    services.server.faults.add(Fault.ERROR_BEFORE, method="GET", part="v1beta1")
    services.follower.look()
    assert services.run(run_id)[0] == "PENDING"
    services.follower.look()
    assert services.run(run_id)[0] == "SUCCEEDED"


def test_a_restarted_kfp_and_a_restarted_recorder_lose_nothing(services: Services, rich_ir: Document) -> None:
    run_id = services.submit(rich_ir)
    services.hand_over()
    for _ in range(6):
        services.server.turn(0.8)
        services.server.restart()
        services.follower = services.make_follower()
        services.follower.look()
    services.server.settle()
    services.follower.look()
    services.follower.look()
    assert services.run(run_id) == ("SUCCEEDED", None)


def test_a_run_that_kfp_lost_fails_only_after_it_said_so_for_a_while(
    services: Services, chain_ir: Document
) -> None:
    run_id = services.submit(chain_ir)
    services.hand_over()
    services.server.turn(0.5)
    services.follower.look()
    services.server.lose(run_id)
    for _ in range(4):
        services.follower.look()
    assert services.run(run_id)[0] == "RUNNING", "many answers, but no time has passed"
    services.server.clock.now += timedelta(seconds=119)
    services.follower.look()
    assert services.run(run_id)[0] == "RUNNING"
    services.server.clock.now += timedelta(seconds=2)
    services.follower.look()
    state, error = services.run(run_id)
    assert state == "FAILED"
    assert "KFP has said for a while that it does not know this run any more" in error
    assert services.tasks(run_id) == {"double": "FAILED", "double-2": "SKIPPED"}
    assert services.reasons(run_id)["double"][0] == "kfp_lost_run"


def test_a_kfp_that_does_not_show_workflows_still_tells_the_end(
    services: Services, chain_ir: Document
) -> None:
    run_id = services.submit(chain_ir)
    services.hand_over()
    services.server.settle()
    services.server.drop_manifests()
    services.follower.look()
    assert services.run(run_id) == ("SUCCEEDED", None)
    assert services.tasks(run_id) == {"double": "SUCCEEDED", "double-2": "SUCCEEDED"}


def test_a_cordoned_node_gets_nothing_new_and_one_that_vanished_neither(
    services: Services, chain_ir: Document
) -> None:
    nodes = services.server.cluster.nodes
    nodes["n1"] = replace(nodes["n1"], cordoned=True)
    services.watch.look()
    first = services.submit(chain_ir)
    services.hand_over()
    assert set(services.nodes(first).values()) == {"n2"}
    nodes["n1"] = replace(nodes["n1"], cordoned=False)
    del nodes["n2"]
    second = services.submit(chain_ir)
    services.hand_over()
    assert set(services.nodes(second).values()) == {"n1"}
    assert all_rows(services.engine, "SELECT name, state FROM nodes ORDER BY name") == [
        ("n1", "READY"),
        ("n2", "GONE"),
    ]


def test_a_silent_kubernetes_api_keeps_its_nodes_for_a_while(services: Services) -> None:
    services.watch.look()
    services.server.down()
    services.server.clock.now += timedelta(seconds=299)
    services.watch.look()
    ready = "SELECT count(*) FROM nodes WHERE state = 'READY'"
    assert all_rows(services.engine, ready) == [(2,)]
    services.server.clock.now += timedelta(seconds=2)
    services.watch.look()
    assert all_rows(services.engine, ready) == [(0,)]
    services.server.up()
    services.watch.look()
    assert all_rows(services.engine, ready) == [(2,)]


def test_a_task_waits_in_our_queue_where_no_node_has_room(services: Services, chain_ir: Document) -> None:
    services.server.behave = by_task(double=Outcome(seconds=100))
    services.server.cluster.nodes = {"n1": FakeNode(name="n1", millicores=1500)}
    first = services.submit(chain_ir)
    services.server.turn(1)
    second = services.submit(chain_ir)
    services.hand_over()
    assert services.tasks(first)["double"] == "PLACED"
    assert services.tasks(second)["double"] == "READY"
    code, text = services.reasons(second)["double"]
    assert (code, "n1: 0.5 of 1.5 cores free, needs 1" in text) == ("no_room", True)
    services.server.settle()
    services.follower.look()
    services.hand_over()
    assert services.tasks(second)["double"] == "PLACED"


def test_agents_and_kubernetes_do_not_get_each_others_tasks(services: Services, chain_ir: Document) -> None:
    services.watch.look()
    run_id = services.submit(chain_ir, engine="agents", cache=False)
    services.scheduler.look()
    code, text = services.reasons(run_id)["double"]
    assert code == "unsatisfiable"
    assert "belongs to engine kubeflow, the run to agents" in text
