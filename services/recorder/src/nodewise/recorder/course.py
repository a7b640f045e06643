"""How a run goes on, from its rows: what is born, what becomes ready, what is skipped, canceled or there already, and its end.

Decides, changes nothing; what it must look up comes in as a `Library`.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Final, Protocol

from nodewise.core.codec import encode
from nodewise.core.db.queries.cached_results import CachedResult
from nodewise.core.db.queries.lives import OpenRun, RunTask
from nodewise.core.db.queries.moves import TaskMove
from nodewise.core.errors import UnresolvedInput
from nodewise.core.estimates.sizing import size_of, with_measurements
from nodewise.core.ir import Advance, Program, Row, RunFacts, advance, applied
from nodewise.core.ir.advance import nothing_more
from nodewise.core.ir.births import new_task
from nodewise.core.ir.breadth import TOO_BROAD, is_too_broad, waits_for
from nodewise.core.ir.caching import (
    CacheKey,
    ContentUnknown,
    Miss,
    MissReason,
    cache_key,
    explain_miss,
    may_be_cached,
    team_digest,
)
from nodewise.core.ir.locate import Made, upstream_of
from nodewise.core.ir.moves import CODES, Cause, ReadyTask
from nodewise.core.ir.moves import NewTask as Birth
from nodewise.core.ir.needs import needs, needs_before
from nodewise.core.ir.specs import task_spec
from nodewise.core.ir.tree import Leaf
from nodewise.core.lifecycle import RunState, TaskEvent, TaskState
from nodewise.core.model.artifact import TaskOutputs, Values
from nodewise.core.model.birth import NewTask
from nodewise.core.model.decision import Reason, ReasonCode
from nodewise.core.model.ids import TaskPath, TaskRef
from nodewise.core.model.task import DatasetFacts, TaskSpec

NOT_PLACED: Final = frozenset({TaskState.READY, TaskState.ADMITTED})


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredDataset:
    """A registered data set: where it is (an address made of its content), and what is measured of it."""

    uri: str
    facts: DatasetFacts


class Library(Protocol):
    """What is on record besides the run."""

    def datasets(self, names: Collection[str]) -> Mapping[str, RegisteredDataset]:
        """Those of these data sets that are registered."""
        ...

    def result(self, digest: str) -> CachedResult | None:
        """What an equal task left."""
        ...

    def latest_keys(self, component: str, team: str | None = None) -> Sequence[CacheKey]:
        """The keys of the component's latest results."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What follows for a run. `upstream` is what WAITING tasks wait for, where that changed."""

    births: tuple[NewTask, ...] = ()
    moves: tuple[TaskMove, ...] = ()
    upstream: Mapping[TaskRef, tuple[TaskPath, ...]] = field(default_factory=dict)
    outcome: RunState | None = None
    outputs: Values = field(default_factory=Values)
    reason: str = ""


def cancellations(run: OpenRun, tasks: Mapping[TaskPath, RunTask], *, now: datetime) -> list[TaskMove]:
    """What of a run that is being canceled waits for a node, and is to wait no more.

    A placer may take such a task meanwhile; so these are moved before the run's course is asked for.
    """
    if run.state is not RunState.CANCELING:
        return []
    return [
        TaskMove(
            ref=TaskRef(run_id=run.id, path=path),
            state=task.row.state,
            event=TaskEvent.CANCEL,
            at=now,
            reason=Reason(code=ReasonCode.RUN_CANCELED, text="the run was canceled"),
            finished_at=now,
        )
        for path, task in tasks.items()
        if task.row.state in NOT_PLACED and not task.finaliser
    ]


def course(
    run: OpenRun,
    tasks: Mapping[TaskPath, RunTask],
    program: Program,
    library: Library,
    *,
    now: datetime,
) -> Course:
    """All that follows from the rows of a run, after its `cancellations`. Applying it and asking again gives nothing new."""
    return _Walker(run=run, tasks=tasks, program=program, library=library, now=now).walk()


@dataclass(slots=True, kw_only=True)
class _Walker:
    run: OpenRun
    tasks: Mapping[TaskPath, RunTask]
    program: Program
    library: Library
    now: datetime
    births: dict[TaskPath, Birth] = field(default_factory=dict)
    moves: list[TaskMove] = field(default_factory=list)
    rows: dict[TaskPath, Row] = field(default_factory=dict)
    made: Made | None = None
    """Of `rows`, once somebody asked for it."""

    def walk(self) -> Course:
        """Advance until nothing that is there already makes more ready."""
        self.rows = {path: task.row for path, task in self.tasks.items()}
        canceling = self.run.state is RunState.CANCELING
        while True:
            step = self._bounded(
                advance(
                    self.program,
                    self.run.parameters,
                    self.rows,
                    facts=facts_of(self.run),
                    canceling=canceling,
                )
            )
            self.births.update({birth.path: birth for birth in step.new_tasks})
            self.rows, self.made = applied(self.rows, step), None
            if not self._take(step):
                return self._course(step)

    def _bounded(self, step: Advance) -> Advance:
        """The step, unless the rows of what it makes would name too much."""
        paths = [*self.rows, *(birth.path for birth in step.new_tasks)]
        if step.new_tasks and is_too_broad(self.program, paths):
            return nothing_more(self.rows, f"tasks were made while it ran, and {TOO_BROAD}")
        return step

    def _take(self, step: Advance) -> bool:
        """Note the moves of a step; whether some task got its outputs, or failed, at once, so that more follows."""
        for skip in step.skipped:
            event = TaskEvent.CANCEL if skip.cause is Cause.RUN_CANCELED else TaskEvent.SKIP
            self._move(skip.path, event, Reason(code=CODES[skip.cause], text=skip.reason))
        for failure in step.failed:
            self._fail(failure.path, failure.reason)
        more = [self._ready(task) for task in step.ready]
        return any(more)

    def _ready(self, task: ReadyTask) -> bool:
        if task.imported is not None:
            why = Reason(code=ReasonCode.IMPORTED, text="names what exists already")
            return self._resolve(task, task.imported, why)
        key, why_not = self._cache_key(task)
        found = self.library.result(key.digest) if key else None
        if found is not None:
            text = f"reused: {found.ref.path!r} of run {found.ref.run_id} was equal"
            return self._resolve(task, found.outputs, Reason(code=ReasonCode.CACHED, text=text))
        if key is not None:
            why_not = _missed(
                explain_miss(
                    task.step,
                    task.leaf,
                    key,
                    self.library.latest_keys(task.leaf.component, team_digest(key)),
                )
            )
        return self._queue(task, key, why_not)

    def _queue(self, task: ReadyTask, key: CacheKey | None, why_not: str) -> bool:
        try:
            spec = self._completed_spec(task)
        except (UnresolvedInput, ValueError, OverflowError) as error:
            text = error.rule if isinstance(error, UnresolvedInput) else str(error)
            self._fail(task.path, text)
            self.rows[task.path] = replace(self.rows[task.path], state=TaskState.FAILED, message=text)
            return True
        move = self._base(
            task.path,
            TaskEvent.INPUTS_READY,
            Reason(code=ReasonCode.QUEUED, text=f"its inputs are there{why_not}"),
        )
        self.moves.append(
            replace(
                move,
                finished_at=None,
                not_before=self.now + task.delay if task.delay > timedelta(0) else None,
                inputs=encode(task.inputs),
                cache=None if key is None else encode(key),
                spec=None if spec is None else encode(spec),
            )
        )
        return False

    def _completed_spec(self, task: ReadyTask) -> TaskSpec | None:
        """Its spec with needs that come from parameters; None where they were known before."""
        if needs_before(task.leaf) is not None:
            return None
        if self.made is None:
            self.made = Made(self.rows)
        spec = task_spec(
            task.step,
            task.leaf,
            path=task.path,
            upstream=upstream_of(self.program, task.path, self.made),
            needs=needs(task.leaf, task.inputs, path=task.path),
            engine=self.run.engine,
        )
        spec = with_measurements(spec, self._facts(task.leaf))
        size_of(spec)
        return spec

    def _cache_key(self, task: ReadyTask) -> tuple[CacheKey | None, str]:
        wanted = self.run.caching and may_be_cached(task.step, task.leaf) and not task.step.finaliser
        if not wanted:
            return None, ""
        uris = [ref.uri for refs in task.inputs.artifacts.values() for ref in refs]
        digests = {uri: uri for uri in uris if uri.startswith("store://")}
        name = task.leaf.hints.dataset.name if task.leaf.hints.dataset else None
        dataset = self.library.datasets([name]).get(name) if name else None
        try:
            key = cache_key(
                task.step,
                task.leaf,
                task.inputs,
                digests=digests,
                dataset=dataset.uri if dataset else None,
                team=self.run.team,
            )
        except ContentUnknown as error:
            return None, f"; no earlier result is looked for: {error}"
        return key, ""

    def _resolve(self, task: ReadyTask, outputs: TaskOutputs, why: Reason) -> bool:
        move = self._base(task.path, TaskEvent.RESOLVE, why)
        self.moves.append(replace(move, outputs=encode(outputs), inputs=encode(task.inputs)))
        self.rows[task.path] = Row(state=TaskState.SUCCEEDED, outputs=outputs)
        return True

    def _fail(self, path: TaskPath, text: str) -> None:
        self._move(path, TaskEvent.FAIL, Reason(code=ReasonCode.INPUT_UNRESOLVED, text=text))

    def _move(self, path: TaskPath, event: TaskEvent, reason: Reason) -> None:
        self.moves.append(self._base(path, event, reason))

    def _base(self, path: TaskPath, event: TaskEvent, reason: Reason) -> TaskMove:
        """The move of a WAITING task to its end."""
        return TaskMove(
            ref=TaskRef(run_id=self.run.id, path=path),
            state=TaskState.WAITING,
            event=event,
            at=self.now,
            reason=reason,
            finished_at=self.now,
        )

    def _course(self, step: Advance) -> Course:
        made = self.made or Made(self.rows if self.births else ())
        return Course(
            births=tuple(self._birth(birth, made) for birth in self.births.values()),
            moves=tuple(self.moves),
            upstream=self._new_upstream(made) if self.births else {},
            outcome=step.outcome,
            outputs=step.outputs,
            reason=step.reason,
        )

    def _new_upstream(self, made: Made) -> dict[TaskRef, tuple[TaskPath, ...]]:
        moved = {move.ref.path for move in self.moves}
        found = {}
        for path, task in self.tasks.items():
            if task.row.state is TaskState.WAITING and path not in moved:
                upstream = upstream_of(self.program, path, made)
                if upstream != task.upstream:
                    found[TaskRef(run_id=self.run.id, path=path)] = upstream
        return found

    def _birth(self, birth: Birth, made: Made) -> NewTask:
        upstream = upstream_of(self.program, birth.path, made)
        datasets = self._facts(birth.leaf)
        make = partial(
            new_task, birth.step, birth.leaf, path=birth.path, upstream=upstream, engine=self.run.engine
        )
        try:
            task = make(datasets=datasets)
        except (ValueError, OverflowError):
            # A data set was registered since whose figures are absurd; what its author said was checked at submission.
            task = make(datasets={})
        return replace(task, reason=waits_for(birth.after) if birth.after else "its turn comes")

    def _facts(self, leaf: Leaf) -> Mapping[str, DatasetFacts]:
        name = leaf.hints.dataset.name if leaf.hints.dataset else None
        return {found: row.facts for found, row in self.library.datasets([name]).items()} if name else {}


def facts_of(run: OpenRun) -> RunFacts:
    """What placeholders can say of a run."""
    return RunFacts.of_run(run.id, run.name, submitted_at=run.submitted_at, scheduled_for=run.scheduled_for)


def _missed(miss: MissReason) -> str:
    return "" if miss.miss is Miss.NEVER_RAN else f"; no earlier result is reused: {miss}"
