"""The end of an attempt, from what was seen of it and what it left. Pure."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pydantic import ValidationError

from nodewise.agent.supervision import Limits, ProcessEnd
from nodewise.agent.verdicts import presentable, verdict
from nodewise.carrier import names
from nodewise.carrier.sightings import Sighting, Step, Trouble
from nodewise.core.lifecycle import AttemptState
from nodewise.core.messages import AttemptReport
from nodewise.core.model.decision import ReasonCode
from nodewise.core.model.ids import AttemptKey

_OURS: Final = (names.MAIN, names.STAGE, names.COLLECT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Remains:
    """What is known of an attempt that is over. `left` is what its own processes left in the store, None: nothing."""

    key: AttemptKey
    seen: Sighting
    left: AttemptReport | None
    log_key: str | None
    memory_mib: int | None
    stopping: bool
    now: datetime


def report_of(remains: Remains) -> AttemptReport:
    """The report of its end. What the attempt itself has said goes before what Kubernetes says, but for why it was stopped."""
    left = remains.left or _left_in_words(remains)
    trouble = remains.seen.trouble
    if left is not None and not (left.state is AttemptState.CANCELED and trouble and not remains.stopping):
        return _measured(left, remains)
    if remains.stopping:
        return _end(
            remains, AttemptState.CANCELED, ReasonCode.RUN_CANCELED, "canceled while its pod was there"
        )
    if trouble is not None:
        return _end(remains, AttemptState.FAILED, trouble.code, trouble.text)
    return _of_steps(remains)


def _left_in_words(remains: Remains) -> AttemptReport | None:
    """The report in a termination message, where the store did not take it."""
    for step in remains.seen.steps.values():
        if step.name in _OURS and step.exit_code is not None and step.said.startswith("{"):
            try:
                report = AttemptReport.model_validate_json(step.said)
            except ValidationError:
                continue
            if report.key == remains.key and (report.state is not AttemptState.SUCCEEDED or report.outputs):
                return report
    return None


def _measured(report: AttemptReport, remains: Remains) -> AttemptReport:
    """With the times, the code and the log of the container, where that was not our own process's."""
    step = remains.seen.steps.get(names.TASK_STEP)
    if step is None:
        return report
    return report.model_copy(
        update={
            "started_at": step.started_at,
            "finished_at": step.finished_at or report.finished_at,
            "exit_code": step.exit_code,
            "log_key": remains.log_key,
        }
    )


def _of_steps(remains: Remains) -> AttemptReport:
    failed = next((step for step in remains.seen.steps.values() if step.exit_code), None)
    if failed is None:
        gone = "its Job was deleted by somebody" if not remains.seen.there else "it ended and left no report"
        return _end(remains, AttemptState.FAILED, ReasonCode.AGENT_ERROR, gone)
    if failed.name == names.TASK_STEP:
        return _of_task(remains, failed)
    if failed.out_of_memory and failed.name == names.MAIN:
        text = _at_limit(remains.memory_mib)
        return _end(remains, AttemptState.FAILED, ReasonCode.OUT_OF_MEMORY, text)
    said = failed.said if failed.said and not failed.said.startswith("{") else "it left no report"
    text = f"the container {failed.name} ended with code {failed.exit_code}: {said}"
    return _end(remains, AttemptState.FAILED, ReasonCode.AGENT_ERROR, text)


def _of_task(remains: Remains, step: Step) -> AttemptReport:
    if step.out_of_memory:
        return _end(
            remains, AttemptState.FAILED, ReasonCode.OUT_OF_MEMORY, _at_limit(remains.memory_mib), step=step
        )
    code = step.exit_code or 0
    end = ProcessEnd(exit_code=code, stopped=None, peak_memory_mib=None, cpu_seconds=None)
    found = verdict(end, Limits(memory_mib=remains.memory_mib or 0), lambda: step.said)
    text = found.message if found else f"exited with code {code}"
    return _end(remains, AttemptState.FAILED, ReasonCode.EXIT_CODE, text, step=step)


def _at_limit(memory_mib: int | None) -> str:
    limit = f"its limit of {memory_mib} MiB" if memory_mib else "the limit of its pod"
    return f"ended by the system at {limit}"


def _end(
    remains: Remains, state: AttemptState, reason: ReasonCode, text: str, *, step: Step | None = None
) -> AttemptReport:
    work = step or remains.seen.work
    return AttemptReport(
        key=remains.key,
        state=state,
        started_at=work.started_at if work else None,
        finished_at=(work.finished_at if work else None) or remains.now,
        exit_code=work.exit_code if work else None,
        reason=reason,
        message=presentable(text),
        log_key=remains.log_key,
    )


def trouble_of_node(node: str, why: str) -> Trouble:
    """What ends the attempts of a node that is lost."""
    return Trouble(code=ReasonCode.AGENT_ERROR, text=f"node {node} {why}")
