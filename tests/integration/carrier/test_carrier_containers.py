"""Components with their own image, between two containers of ours in one pod."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from kfp import dsl

from nodewise.core.lifecycle import AttemptState
from nodewise.core.messages import AttemptReport
from nodewise.core.model.decision import ReasonCode
from nodewise.core.model.job import Job
from tests.integration.agent.test_agent_containers import make, one_task, shell, total
from tests.support.agent_runs import AgentRun
from tests.support.carriers import CarrierProcess
from tests.support.waiting import wait_until

SLOW = 120.0


@pytest.fixture
def carrier(shared_agent: CarrierProcess) -> CarrierProcess:
    """One for all tests that only give it something to do."""
    return shared_agent


def started(carrier: CarrierProcess, component: Any, change: Any = None) -> Job:
    job = AgentRun(carrier, one_task(component)).step()["step"]
    job = change(job) if change else job
    carrier.submit(job)
    return job


def log_of(carrier: CarrierProcess, report: AttemptReport) -> str:
    assert report.log_key is not None
    return (carrier.store.read_key(report.log_key) or b"").decode()


def test_files_and_values_go_from_pod_to_pod(carrier: CarrierProcess) -> None:
    @dsl.pipeline(name="two")
    def two() -> None:
        first = make(rows=4).set_env_variable("GREETING", "it costs $5, $(HOME) and $$")
        total(table=first.outputs["table"])

    run = AgentRun(carrier, two)
    reports = run.run(SLOW)

    assert run.outputs("make") == {"count": 4, "name": "made"}
    assert run.outputs("total") == {"sum": 4}
    made = reports["make"]
    assert (made.reason, made.exit_code) == (ReasonCode.FINISHED, 0)
    assert log_of(carrier, made) == "it costs $5, $(HOME) and $$\n"
    assert made.outputs is not None
    assert made.outputs.artifacts["table"].uri.startswith("store://tree/")
    assert made.started_at is not None
    assert made.finished_at is not None
    assert made.finished_at >= made.started_at


def test_what_fails_tells_its_code_and_leaves_its_log(carrier: CarrierProcess) -> None:
    report = carrier.end_of(started(carrier, shell("echo so far; exit 9")).key, SLOW)
    assert (report.state, report.reason) == (AttemptState.FAILED, ReasonCode.EXIT_CODE)
    assert (report.exit_code, report.message) == (9, "exited with code 9")
    assert log_of(carrier, report) == "so far\n"


def test_a_command_that_is_not_there_is_the_tasks_failure(carrier: CarrierProcess) -> None:
    @dsl.container_component
    def step() -> dsl.ContainerSpec:
        return dsl.ContainerSpec(image="python:3.11-slim", command=["no-such-program"])

    report = carrier.end_of(started(carrier, step).key, SLOW)
    assert (report.state, report.reason) == (AttemptState.FAILED, ReasonCode.EXIT_CODE)
    assert "no-such-program" in (report.message or "")


def test_an_image_that_cannot_be_had_is_the_tasks_failure_and_leaves_no_pod(carrier: CarrierProcess) -> None:
    report = carrier.end_of(started(carrier, shell("true", image="nowhere.invalid/x:1")).key, SLOW)
    assert (report.state, report.reason) == (AttemptState.FAILED, ReasonCode.IMAGE_UNAVAILABLE)
    assert (report.message or "").startswith("image nowhere.invalid/x:1: ImagePullBackOff")
    wait_until(lambda: not carrier.server.pods(), SLOW, "the pod to be removed")


def test_a_timeout_counts_from_the_containers_start_and_is_kept_by_kubernetes(
    carrier: CarrierProcess,
) -> None:
    job = started(
        carrier, shell("echo begun; exec sleep 60"), lambda job: replace(job, timeout=timedelta(seconds=2))
    )
    report = carrier.end_of(job.key, SLOW)
    assert (report.state, report.reason) == (AttemptState.FAILED, ReasonCode.TIMEOUT)
    assert report.message == "ran longer than its timeout of 0:00:02"
    (held_to,) = [found["spec"]["activeDeadlineSeconds"] for found in carrier.server.jobs()]
    assert held_to < 900


def test_what_takes_more_memory_than_its_limit_is_told(carrier: CarrierProcess) -> None:
    script = "exec python3 -c 'import time; held = bytearray(300 << 20); time.sleep(60)'"
    job = started(carrier, shell(script), lambda job: replace(job, memory_limit_mib=100))
    report = carrier.end_of(job.key, SLOW)
    assert (report.state, report.reason) == (AttemptState.FAILED, ReasonCode.OUT_OF_MEMORY)
    assert report.message == "ended by the system at its limit of 100 MiB"


def test_an_output_that_was_promised_and_is_not_there_is_a_failure(carrier: CarrierProcess) -> None:
    @dsl.container_component
    def step(count: dsl.OutputPath(int)) -> dsl.ContainerSpec:  # type: ignore[valid-type]
        return dsl.ContainerSpec(image="python:3.11-slim", command=["sh", "-c", "true", count])

    report = carrier.end_of(started(carrier, step).key, SLOW)
    assert report.state is AttemptState.FAILED
    assert report.message == "the output parameter 'count' was not written"


def test_a_cancel_ends_the_container_and_keeps_what_it_said(carrier: CarrierProcess) -> None:
    job = started(carrier, shell("echo begun; exec sleep 60"))
    key = f"logs/{job.key.run_id}/step/1.txt"
    wait_until(lambda: carrier.store.read_key(key) == b"begun\n", SLOW, "the log to be copied")
    carrier.cancel(job.key)
    report = carrier.end_of(job.key, SLOW)
    assert (report.state, report.reason) == (AttemptState.CANCELED, ReasonCode.RUN_CANCELED)
    assert carrier.server.pods() == []
    assert carrier.store.read_key(key) == b"begun\n"


def test_credentials_of_the_store_are_not_the_components(carrier: CarrierProcess) -> None:
    report = carrier.end_of(started(carrier, shell("env | grep -c NODEWISE_STORE_URL; true")).key, SLOW)
    assert log_of(carrier, report) == "0\n"
    (job,) = carrier.server.jobs()
    pod = job["spec"]["template"]["spec"]
    theirs = next(one for one in pod["initContainers"] if one["name"] == "task")
    assert [mount["name"] for mount in theirs["volumeMounts"]] == ["work"]
    assert pod["automountServiceAccountToken"] is False
