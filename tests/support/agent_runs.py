"""Whole pipelines on one real agent without any service: the interpreter decides, jobs are built as a placer builds them."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from nodewise.core.ir import MAX_INSTANCES, Program, Row, RunFacts, advance, applied, bind, read_program
from nodewise.core.ir.jobs import build_job
from nodewise.core.ir.moves import Advance, ReadyTask
from nodewise.core.ir.needs import needs
from nodewise.core.ir.specs import task_spec
from nodewise.core.lifecycle import AttemptState, TaskState
from nodewise.core.messages import AttemptReport
from nodewise.core.model.artifact import TaskOutputs
from nodewise.core.model.ids import AttemptKey, RunId, TaskPath
from nodewise.core.model.job import Job
from tests.support.agents import AgentProcess
from tests.support.dynamic_runs import compiled_documents

_STATES = {AttemptState.SUCCEEDED: TaskState.SUCCEEDED, AttemptState.CANCELED: TaskState.CANCELED}


@dataclass
class AgentRun:
    """One run of a pipeline of KFP's. `attempts` are the reports of what ended, by task path."""

    agent: AgentProcess
    pipeline: Any
    parameters: Mapping[str, object] = field(default_factory=dict)
    attempts: dict[str, AttemptReport] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.id = RunId(f"run-{uuid.uuid4().hex[:8]}")
        ir, platforms = compiled_documents(self.pipeline)
        self.program: Program = read_program(ir, platforms.get("platforms", {}), max_instances=MAX_INSTANCES)
        self.facts = RunFacts(name=self.program.name, run_id=self.id, created="2026-01-01T00:00:00Z")
        self.values = bind(self.program, self.parameters)
        self._rows: dict[TaskPath, Row] = {}

    def key(self, path: str) -> AttemptKey:
        return AttemptKey(run_id=self.id, path=TaskPath(path), attempt=1)

    def step(self) -> dict[str, Job]:
        """What may start now, as jobs by task path."""
        now = self._look()
        self._rows = applied(self._rows, now)
        for task in now.ready:
            if task.imported is not None:
                self._rows[task.path] = Row(state=TaskState.SUCCEEDED, outputs=task.imported)
        return {task.path: self._job(task) for task in now.ready if task.imported is None}

    def run(self, seconds: float = 120) -> Mapping[str, AttemptReport]:
        """To its end; the reports by task path."""
        while self._look().outcome is None:
            jobs = self.step()
            self.agent.submit(*jobs.values())
            for path, report in self.ends_of(jobs, seconds).items():
                self.attempts[path] = report
                self._rows[TaskPath(path)] = _row(report)
        return self.attempts

    def ends_of(self, jobs: Mapping[str, Job], seconds: float = 120) -> dict[str, AttemptReport]:
        """The ends of all of these. Every heartbeat tells all that nobody confirmed, so one after the other is found."""
        return {path: self.agent.end_of(job.key, seconds) for path, job in jobs.items()}

    def outputs(self, path: str) -> Mapping[str, object]:
        """The parameters that a task left; it must have ended well."""
        report = self.attempts[path]
        assert report.outputs is not None, report.message
        return report.outputs.parameters

    def _look(self) -> Advance:
        return advance(self.program, self.values, dict(self._rows), facts=self.facts)

    def _job(self, task: ReadyTask) -> Job:
        found = needs(task.leaf, task.inputs, path=task.path)
        spec = task_spec(task.step, task.leaf, path=task.path, needs=found)
        return build_job(task.leaf, task.inputs, key=self.key(task.path), spec=spec, facts=self.facts)


def _row(report: AttemptReport) -> Row:
    state = _STATES.get(report.state, TaskState.FAILED)
    row = Row(state=state, message=report.message or "")
    return replace(row, outputs=report.outputs or TaskOutputs())
