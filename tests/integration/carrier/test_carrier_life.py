"""The life of a carrier: restarts, an API that is away, and what others do to its Jobs, pods and nodes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import redis

from nodewise.core.lifecycle import AttemptState
from nodewise.core.messages import Heartbeat
from nodewise.core.model.component import ValueKind
from nodewise.core.model.decision import ReasonCode
from nodewise.core.model.node import Node
from tests.integration.agent.test_agent_jobs import ADD, SLEEP
from tests.support.agents import NODE, AgentProcess, job, key
from tests.support.carriers import CarrierProcess
from tests.support.waiting import wait_until

SLOW = 120.0
GATED = """
def step(marker: str, gate: str) -> str:
    import os, time
    with open(marker, "a") as file:
        file.write("ran\\n")
    while not os.path.exists(gate):
        time.sleep(0.02)
    return "through"
"""


class Gate:
    """A task that runs until it is let through, and tells how often it was begun."""

    def __init__(self, carrier: CarrierProcess, folder: Path, path: str = "train") -> None:
        self.carrier, self.marker, self.gate = carrier, folder / f"{path}.marker", folder / f"{path}.gate"
        parameters = {"marker": str(self.marker), "gate": str(self.gate)}
        self.job = job(GATED, key=key(path), parameters=parameters, outputs={"Output": ValueKind.STRING})
        carrier.submit(self.job)

    def wait_begun(self) -> None:
        self.carrier.running(self.job.key, SLOW)
        wait_until(self.marker.exists, SLOW, "the task to begin")

    def open(self) -> None:
        self.gate.touch()

    @property
    def begun(self) -> int:
        return len(self.marker.read_text().splitlines()) if self.marker.exists() else 0


def node_as(carrier: CarrierProcess, fits: Callable[[Heartbeat], Any], name: str = NODE) -> Heartbeat:
    found: Heartbeat = carrier.ear.wait_for(
        lambda beat: beat if beat.node.name == name and fits(beat) else None, SLOW, f"{name} as wanted"
    )
    return found


def only_pod(carrier: CarrierProcess) -> str:
    (pod,) = carrier.server.pods()
    return str(pod["metadata"]["name"])


def test_nodes_come_with_what_others_leave_of_them(carrier: CarrierProcess) -> None:
    whole = node_as(carrier, lambda beat: True, "n2").node
    assert (whole.engine, whole.container_runtime) == ("kubernetes", "kubernetes")
    assert (whole.capacity.millicores, whole.labels["pool"]) == (1000, "small")
    carrier.server.add_pod("theirs", "n2", {"cpu": "250m", "memory": "256Mi"})
    less = node_as(carrier, lambda beat: beat.node.capacity.millicores == 750, "n2").node
    assert less.capacity.memory_mib == whole.capacity.memory_mib - 256


def test_a_cordoned_node_takes_nothing_new_and_its_tasks_go_on(
    carrier: CarrierProcess, tmp_path: Path
) -> None:
    gate = Gate(carrier, tmp_path)
    gate.wait_begun()
    carrier.server.change_node(NODE, lambda node: node["spec"].update(unschedulable=True))
    beat = node_as(carrier, lambda beat: beat.leaving)
    assert [report.state for report in beat.attempts] == [AttemptState.RUNNING]
    gate.open()
    assert carrier.end_of(gate.job.key, SLOW).state is AttemptState.SUCCEEDED


def test_taints_are_told_and_tolerated_where_a_task_was_placed(carrier: CarrierProcess) -> None:
    taint = {"key": "team", "value": "vision", "effect": "NoSchedule"}
    carrier.server.change_node(NODE, lambda node: node["spec"].update(taints=[taint]))
    node: Node = node_as(carrier, lambda beat: bool(beat.node.taints)).node
    assert str(node.taints[0]) == "team=vision:NoSchedule"
    carrier.submit(job(ADD, parameters={"a": 1}, outputs={"Output": ValueKind.NUMBER_DOUBLE}))
    assert carrier.end_of(key(), SLOW).state is AttemptState.SUCCEEDED


def test_the_same_job_twice_runs_once(carrier: CarrierProcess, tmp_path: Path) -> None:
    gate = Gate(carrier, tmp_path)
    carrier.submit(gate.job)
    gate.wait_begun()
    carrier.submit(gate.job)
    gate.open()
    assert carrier.end_of(gate.job.key, SLOW).state is AttemptState.SUCCEEDED
    carrier.submit(gate.job)
    carrier.ear.drain()
    node_as(carrier, lambda beat: bool(beat.attempts))
    assert gate.begun == 1
    assert len(carrier.server.jobs()) == 1


def test_a_forgotten_attempt_leaves_nothing_in_the_cluster(carrier: CarrierProcess) -> None:
    carrier.submit(job(ADD, parameters={"a": 1}, outputs={"Output": ValueKind.NUMBER_DOUBLE}))
    carrier.end_of(key(), SLOW)
    (made,) = carrier.server.jobs()
    assert made["metadata"]["labels"]["nodewise.dev/run"] == key().run_id
    assert made["metadata"]["labels"]["nodewise.dev/attempt"] == "1"
    carrier.forget(key())
    wait_until(lambda: not carrier.server.jobs() and not carrier.server.pods(), SLOW, "the Job to be removed")


def test_a_higher_attempt_ends_the_older_one_first(carrier: CarrierProcess, tmp_path: Path) -> None:
    gate = Gate(carrier, tmp_path)
    gate.wait_begun()
    second = job(ADD, key=key(attempt=2), parameters={"a": 1}, outputs={"Output": ValueKind.NUMBER_DOUBLE})
    carrier.submit(second)
    assert carrier.end_of(gate.job.key, SLOW).state is AttemptState.CANCELED
    assert carrier.end_of(second.key, SLOW).state is AttemptState.SUCCEEDED


def test_a_carrier_that_was_killed_goes_on_where_it_was(carrier: CarrierProcess, tmp_path: Path) -> None:
    running, ending = Gate(carrier, tmp_path, "running"), Gate(carrier, tmp_path, "ending")
    running.wait_begun()
    ending.wait_begun()
    carrier.kill()
    ending.open()
    wait_until(
        lambda: any(pod["status"]["phase"] == "Succeeded" for pod in carrier.server.pods()), SLOW, "an end"
    )
    carrier.ear.drain()
    carrier.start()
    first = node_as(carrier, lambda beat: True)
    assert {report.key.path for report in first.attempts} == {"running", "ending"}
    ended = carrier.end_of(ending.job.key, SLOW)
    assert ended.outputs is not None
    assert ended.outputs.parameters == {"Output": "through"}
    running.open()
    assert carrier.end_of(running.job.key, SLOW).state is AttemptState.SUCCEEDED
    assert (running.begun, ending.begun) == (1, 1)


def test_while_the_api_is_away_nothing_is_lost(carrier: CarrierProcess, tmp_path: Path) -> None:
    gate = Gate(carrier, tmp_path)
    gate.wait_begun()
    carrier.server.down()
    waiting = Gate(carrier, tmp_path, "waiting")
    carrier.ear.drain()
    held = node_as(carrier, lambda beat: len(beat.attempts) == 2)
    assert {report.state for report in held.attempts} == {AttemptState.RUNNING, AttemptState.PLACED}
    gate.open()
    waiting.open()
    carrier.server.up()
    assert carrier.end_of(gate.job.key, SLOW).state is AttemptState.SUCCEEDED
    assert carrier.end_of(waiting.job.key, SLOW).state is AttemptState.SUCCEEDED
    assert (gate.begun, waiting.begun) == (1, 1)


def test_a_job_that_somebody_deleted_is_the_nodes_trouble_not_the_tasks(
    carrier: CarrierProcess, tmp_path: Path
) -> None:
    gate = Gate(carrier, tmp_path)
    gate.wait_begun()
    (made,) = carrier.server.jobs()
    carrier.server.delete_job(made["metadata"]["name"])
    report = carrier.end_of(gate.job.key, SLOW)
    # Nobody here asked for it: the recorder takes both for a loss, and the task is tried again.
    assert report.state is AttemptState.CANCELED or report.reason is ReasonCode.AGENT_ERROR
    assert carrier.server.pods() == []


def test_a_pod_that_somebody_deleted_is_not_run_again_in_the_same_attempt(
    carrier: CarrierProcess, tmp_path: Path
) -> None:
    gate = Gate(carrier, tmp_path)
    gate.wait_begun()
    first = only_pod(carrier)
    carrier.server.delete_pod(first)
    report = carrier.end_of(gate.job.key, SLOW)
    assert report.state is AttemptState.CANCELED or report.reason is ReasonCode.AGENT_ERROR
    assert gate.begun == 1


def test_a_node_that_is_gone_loses_its_attempts(carrier: CarrierProcess, tmp_path: Path) -> None:
    gate = Gate(carrier, tmp_path)
    gate.wait_begun()
    carrier.server.remove_node(NODE)
    report = carrier.end_of(gate.job.key, SLOW)
    assert (report.state, report.reason) == (AttemptState.FAILED, ReasonCode.AGENT_ERROR)
    assert report.message == f"node {NODE} is not in the cluster any more"
    wait_until(lambda: not carrier.server.jobs(), SLOW, "the Job to be removed")


def test_a_node_that_is_not_ready_for_long_loses_its_attempts(
    stopped_carrier: CarrierProcess, tmp_path: Path
) -> None:
    carrier = stopped_carrier
    carrier.start(NODEWISE_LEASE_SECONDS="2")
    gate = Gate(carrier, tmp_path)
    gate.wait_begun()
    carrier.server.set_ready(NODE, "Unknown")
    node_as(carrier, lambda beat: beat.leaving)
    report = carrier.end_of(gate.job.key, SLOW)
    assert report.reason is ReasonCode.AGENT_ERROR
    assert f"node {NODE} has not been ready for" in (report.message or "")


def test_an_evicted_pod_is_the_nodes_trouble(carrier: CarrierProcess, tmp_path: Path) -> None:
    gate = Gate(carrier, tmp_path)
    gate.wait_begun()
    carrier.server.evict(only_pod(carrier), "The node was low on resource: memory.")
    report = carrier.end_of(gate.job.key, SLOW)
    assert (report.state, report.reason) == (AttemptState.FAILED, ReasonCode.AGENT_ERROR)
    assert report.message == "Evicted: The node was low on resource: memory."


def test_a_pod_without_room_gives_its_place_up(stopped_carrier: CarrierProcess) -> None:
    carrier = stopped_carrier
    carrier.start(NODEWISE_KUBERNETES_PENDING_SECONDS="1")
    node_as(carrier, lambda beat: True)
    carrier.server.add_pod("theirs", NODE, {"cpu": "15500m"})
    carrier.submit(job(ADD, parameters={"a": 1}, outputs={"Output": ValueKind.NUMBER_DOUBLE}))
    report = carrier.end_of(key(), SLOW)
    assert (report.state, report.reason) == (AttemptState.FAILED, ReasonCode.AGENT_ERROR)
    assert (report.message or "").startswith("Unschedulable: 0/2 nodes are available: 1 Insufficient cpu")
    wait_until(lambda: not carrier.server.jobs(), SLOW, "the Job to be removed")


def test_a_cancel_before_the_start_is_an_end(carrier: CarrierProcess) -> None:
    carrier.cancel(key("never"))
    report = carrier.end_of(key("never"), SLOW)
    assert (report.state, report.message) == (AttemptState.CANCELED, "canceled before it started")


def test_a_python_task_above_its_memory_is_told(carrier: CarrierProcess) -> None:
    source = "def step():\n    import time\n    held = bytearray(400 << 20)\n    time.sleep(60)\n"
    carrier.submit(job(source, memory_limit_mib=150))
    report = carrier.end_of(key(), SLOW)
    assert (report.state, report.reason) == (AttemptState.FAILED, ReasonCode.OUT_OF_MEMORY)


def test_a_node_that_has_an_agent_is_left_to_it(
    stopped_carrier: CarrierProcess, redis_url: str, store_url: str, tmp_path: Path
) -> None:
    agent = AgentProcess(redis_url, store_url, tmp_path / "agent")
    agent.start()
    try:
        agent.ear.wait_for(lambda beat: beat.node.engine == "agents" or None, SLOW)
        stopped_carrier.start()
        node_as(stopped_carrier, lambda beat: beat.node.engine == "kubernetes", "n2")
        stopped_carrier.ear.drain()
        node_as(stopped_carrier, lambda beat: True, "n2")
        with redis.Redis.from_url(redis_url) as client:
            held = client.get(f"nodewise:agent:{NODE}")
        assert str(agent.pid) in str(held)
    finally:
        agent.close()


def test_a_running_task_is_canceled(carrier: CarrierProcess, tmp_path: Path) -> None:
    carrier.submit(job(SLEEP, parameters={"marker": str(tmp_path / "pid")}))
    carrier.running(key(), SLOW)
    carrier.cancel(key())
    assert carrier.end_of(key(), SLOW).state is AttemptState.CANCELED
    assert carrier.server.pods() == []
