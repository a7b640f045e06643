"""What is read from Jobs and pods, and what it means for an attempt."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from nodewise.carrier import names
from nodewise.carrier.decisions import Attempt, Decision, Verdict, decide
from nodewise.carrier.ends import Remains, report_of, trouble_of_node
from nodewise.carrier.sightings import Sighting, sighting
from nodewise.core.lifecycle import AttemptState
from nodewise.core.messages import AttemptReport, JobRef
from nodewise.core.model.artifact import TaskOutputs
from nodewise.core.model.decision import ReasonCode
from nodewise.core.model.ids import AttemptKey, NodeName, RunId, TaskPath

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
KEY = AttemptKey(run_id=RunId("r"), path=TaskPath("train"), attempt=1)
REF = JobRef(key=KEY, job_uri="store://file/x", dispatched_at=NOW)


def at(seconds: int) -> str:
    return (NOW + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def pod(phase: str = "Running", *, name: str = "p", created: int = -60, **status: Any) -> dict[str, Any]:
    notes = {names.TIMEOUT: "60"}
    return {
        "metadata": {"name": name, "creationTimestamp": at(created), "annotations": notes},
        "status": {"phase": phase, **status},
    }


def ended(name: str, code: int, **rest: Any) -> dict[str, Any]:
    state = {"terminated": {"exitCode": code, "startedAt": at(-30), "finishedAt": at(-10), **rest}}
    return {"name": name, "image": "i", "state": state}


def running(name: str) -> dict[str, Any]:
    return {"name": name, "image": "i", "state": {"running": {"startedAt": at(-30)}}}


def waiting(name: str, reason: str, message: str = "words") -> dict[str, Any]:
    return {"name": name, "image": "some/image", "state": {"waiting": {"reason": reason, "message": message}}}


def job(*conditions: dict[str, str], **spec: Any) -> dict[str, Any]:
    found = [{"status": "True", **one} for one in conditions]
    notes = {names.TIMEOUT: "60"}
    return {
        "metadata": {"name": "j", "annotations": notes},
        "spec": spec,
        "status": {"startTime": at(-60), "conditions": found},
    }


def see(job: dict[str, Any] | None, *pods: dict[str, Any], patience: int = 60) -> Sighting:
    return sighting(job, pods, now=NOW, patience=timedelta(seconds=patience))


def judge(seen: Sighting, *, node: bool = True, **attempt: Any) -> Decision:
    known = Attempt(ref=REF, node=NodeName("n"), name="j", there=True, **attempt)
    return decide(known, seen, None if node else trouble_of_node("n", "is gone"))


def end(seen: Sighting, *, left: AttemptReport | None = None, stopping: bool = False) -> AttemptReport:
    return report_of(
        Remains(
            key=KEY, seen=seen, left=left, log_key="logs/x", memory_mib=100, stopping=stopping, now=NOW
        )
    )  # fmt: skip


def left(state: AttemptState, **rest: Any) -> AttemptReport:
    return AttemptReport(key=KEY, state=state, **rest)


def test_what_runs_goes_on_and_tells_its_start() -> None:
    found = judge(see(job(), pod(containerStatuses=[running("main")])))
    assert found.verdict is Verdict.GOES_ON
    assert found.started_at == NOW - timedelta(seconds=30)


def test_staging_is_no_start() -> None:
    found = judge(see(job(), pod("Pending", initContainerStatuses=[running("stage")])))
    assert (found.verdict, found.started_at) == (Verdict.GOES_ON, None)


def test_what_is_nowhere_has_ended_and_is_nobodys_fault() -> None:
    seen = see(None)
    assert judge(seen).verdict is Verdict.ENDED
    report = end(seen)
    assert (report.reason, report.message) == (ReasonCode.AGENT_ERROR, "its Job was deleted by somebody")


def test_a_job_that_is_gone_is_waited_for_while_its_pod_ends() -> None:
    assert judge(see(None, pod(containerStatuses=[running("main")]))).verdict is Verdict.GOES_ON


def test_what_is_being_stopped_has_ended_when_nothing_is_left_of_it() -> None:
    over = see(job(), pod("Failed", containerStatuses=[ended("main", 1)]))
    assert judge(over, stopping=True).verdict is Verdict.GOES_ON
    assert judge(see(None), stopping=True).verdict is Verdict.ENDED
    assert end(see(None), stopping=True).state is AttemptState.CANCELED


def test_what_was_faster_than_its_cancel_has_its_own_end() -> None:
    report = end(see(None), left=left(AttemptState.SUCCEEDED, outputs=TaskOutputs()), stopping=True)
    assert report.state is AttemptState.SUCCEEDED


@pytest.mark.parametrize(
    ("status", "reason", "text"),
    [
        (waiting("task", "ImagePullBackOff"), ReasonCode.IMAGE_UNAVAILABLE, "image some/image: ImagePullBackOff: words"),
        (waiting("task", "InvalidImageName"), ReasonCode.IMAGE_UNAVAILABLE, "image some/image: InvalidImageName: words"),
        (waiting("task", "CreateContainerConfigError"), ReasonCode.POD_FAILED, "CreateContainerConfigError: words"),
    ],
)  # fmt: skip
def test_what_cannot_start_is_given_up(status: dict[str, Any], reason: ReasonCode, text: str) -> None:
    found = judge(see(job(), pod("Pending", initContainerStatuses=[status])))
    assert found.verdict is Verdict.GIVEN_UP
    report = end(found.seen)
    assert (report.state, report.reason, report.message) == (AttemptState.FAILED, reason, text)


def test_the_first_failure_to_pull_is_no_end() -> None:
    seen = see(job(), pod("Pending", initContainerStatuses=[waiting("task", "ErrImagePull")]))
    assert judge(seen).verdict is Verdict.GOES_ON


def unschedulable(since: int) -> dict[str, Any]:
    condition = {
        "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes",
        "lastTransitionTime": at(since),
    }  # fmt: skip
    return pod("Pending", conditions=[condition])


def test_a_pod_without_room_is_waited_for_and_then_given_up() -> None:
    assert judge(see(job(), unschedulable(-59))).verdict is Verdict.GOES_ON
    found = judge(see(job(), unschedulable(-61)))
    assert found.verdict is Verdict.GIVEN_UP
    assert end(found.seen).message == "Unschedulable: 0/3 nodes"
    assert end(found.seen).reason is ReasonCode.AGENT_ERROR


def test_an_eviction_is_the_nodes_trouble_also_where_the_task_called_itself_canceled() -> None:
    evicted = see(job(), pod("Failed", reason="Evicted", message="no memory"))
    assert judge(evicted).verdict is Verdict.ENDED
    for of_itself in (None, left(AttemptState.CANCELED)):
        report = end(evicted, left=of_itself)
        assert (report.reason, report.message) == (ReasonCode.AGENT_ERROR, "Evicted: no memory")


def test_a_deadline_is_a_timeout_once_its_pod_has_ended() -> None:
    late = job({"type": "Failed", "reason": "DeadlineExceeded"})
    assert judge(see(late, pod(containerStatuses=[running("main")]))).verdict is Verdict.GOES_ON
    seen = see(late)
    assert judge(seen).verdict is Verdict.ENDED
    report = end(seen, left=left(AttemptState.CANCELED))
    assert (report.reason, report.message) == (ReasonCode.TIMEOUT, "ran longer than its timeout of 0:01:00")


def test_a_component_is_held_to_its_time_from_its_own_start_once() -> None:
    seen = see(job(activeDeadlineSeconds=960), pod("Pending", initContainerStatuses=[running("task")]))
    assert judge(seen, timeout_seconds=60.0).limit_seconds == 90
    assert judge(seen, timeout_seconds=60.0, limited=True).limit_seconds is None
    assert judge(seen).limit_seconds is None


def test_what_a_lost_node_ran_is_given_up() -> None:
    found = judge(see(job(), pod(containerStatuses=[running("main")])), node=False)
    assert found.verdict is Verdict.GIVEN_UP
    assert end(found.seen).message == "node n is gone"
    assert end(found.seen, stopping=True).state is AttemptState.CANCELED


def test_a_failed_component_tells_its_code_and_its_memory() -> None:
    failed = see(job(), pod("Failed", initContainerStatuses=[ended("stage", 0), ended("task", 9)]))
    assert (end(failed).exit_code, end(failed).message) == (9, "exited with code 9")
    killed = see(job(), pod("Failed", initContainerStatuses=[ended("task", 137, reason="OOMKilled")]))
    assert end(killed).reason is ReasonCode.OUT_OF_MEMORY
    assert end(killed).message == "ended by the system at its limit of 100 MiB"


def test_our_own_container_that_left_nothing_is_not_the_tasks_fault() -> None:
    silent = see(job(), pod("Failed", containerStatuses=[ended("main", 137)]))
    assert end(silent).reason is ReasonCode.AGENT_ERROR
    told = see(job(), pod("Failed", containerStatuses=[ended("main", 1, message="the store is away")]))
    assert end(told).message == "the container main ended with code 1: the store is away"
    killed = see(job(), pod("Failed", containerStatuses=[ended("main", 137, reason="OOMKilled")]))
    assert end(killed).reason is ReasonCode.OUT_OF_MEMORY


def test_a_report_in_the_termination_message_counts_where_the_store_has_none() -> None:
    said = left(AttemptState.FAILED, reason=ReasonCode.EXIT_CODE, message="ValueError: x").model_dump_json()
    seen = see(job(), pod("Failed", containerStatuses=[ended("main", 1, message=said)]))
    assert end(seen).message == "ValueError: x"


def test_a_component_that_ended_well_has_the_times_of_its_container() -> None:
    steps = {"initContainerStatuses": [ended("stage", 0), ended("task", 0)]}
    seen = see(job(), pod("Succeeded", containerStatuses=[ended("collect", 0)], **steps))
    report = end(seen, left=left(AttemptState.SUCCEEDED, outputs=TaskOutputs(), finished_at=NOW))
    assert report.state is AttemptState.SUCCEEDED
    assert report.started_at == NOW - timedelta(seconds=30)
    assert report.finished_at == NOW - timedelta(seconds=10)
    assert (report.exit_code, report.log_key) == (0, "logs/x")


def test_of_two_pods_the_newer_counts() -> None:
    seen = see(job(), pod(name="new", created=-5), pod("Failed", name="old", created=-50))
    assert (seen.pod, seen.over) == ("new", False)
