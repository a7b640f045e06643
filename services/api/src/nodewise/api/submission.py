"""From a request to the rows that it becomes. Pure: what it needs from elsewhere comes in as an argument."""

import hashlib
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from nodewise.api.auth.caller import DEFAULT_TEAM
from nodewise.api.choice import Choice, choose_engine
from nodewise.api.problems import Problem, invalid
from nodewise.api.programs import ReadPipeline, canonical_json, read_pipeline
from nodewise.api.requests import SubmitRequest
from nodewise.core.db.queries.submissions import NewRun
from nodewise.core.engine.kubeflow.reading import requirements
from nodewise.core.errors import InvalidPipeline
from nodewise.core.ir import Advance, Program, RunFacts, advance, bind
from nodewise.core.ir.births import new_task
from nodewise.core.ir.breadth import MOST_UPSTREAM, TOO_BROAD, waits_for
from nodewise.core.ir.caching import may_be_cached
from nodewise.core.ir.locate import Made, upstream_of
from nodewise.core.ir.moves import NewTask as Birth
from nodewise.core.ir.moves import ReadyTask
from nodewise.core.ir.needs import needs_before
from nodewise.core.ir.outline import leaves_of, outline
from nodewise.core.model.birth import NewTask
from nodewise.core.model.component import ContainerWork
from nodewise.core.model.engines import AGENTS, KUBEFLOW
from nodewise.core.model.ids import RunId, ScheduleId
from nodewise.core.model.task import DatasetFacts
from nodewise.core.settings import Settings

_HINTS = "body.platform_spec.platforms.nodewise"


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The recurring run that a submission is one of, and for which of its times; None: it was asked for at once."""

    schedule_id: ScheduleId
    scheduled_for: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A request that was read. `digest` is equal for equal bodies, whatever their spelling.

    `origin` is None where somebody submitted it by hand, `retry_of` where it is no other run's next try. `own_team` is that
    of who submits it, `traceparent` the trace that they are in (None: none).
    """

    request: SubmitRequest
    pipeline: ReadPipeline
    digest: str
    idempotency_key: str | None = None
    origin: Origin | None = None
    engine: str = AGENTS
    retry_of: RunId | None = None
    own_team: str = DEFAULT_TEAM
    traceparent: str | None = None

    @property
    def program(self) -> Program:
        return self.pipeline.program

    @property
    def team(self) -> str:
        """On whose account it runs: as the request says, else the pipeline, else the team of who submits it."""
        return self.request.team or self.program.team or self.own_team

    def dataset_names(self) -> frozenset[str]:
        """The data sets that its tasks name."""
        described = (leaf.hints.dataset for leaf in leaves_of(self.program))
        return frozenset(dataset.name for dataset in described if dataset and dataset.name)


def read_submission(
    request: SubmitRequest,
    body: Mapping[str, object],
    *,
    key: str | None,
    settings: Settings,
) -> Submission:
    """Read the pipeline of a request, for the engine that it is to run on.

    Raises:
        InvalidPipeline: The IR breaks a rule, or something of it would fail in every run.
        Problem: 422, that engine is not there.
    """
    engine = choose_engine(request.engine, settings)
    pipeline = read_pipeline(request, engine=engine, max_instances=settings.max_tasks_per_run)
    return Submission(
        request=request, pipeline=pipeline, digest=digest_of(body), idempotency_key=key, engine=engine
    )


def first_container(submission: Submission) -> str | None:
    """Where in its IR a component brings its own image, which a node needs a container runtime for; None: nowhere, or in pods."""
    if submission.engine != AGENTS:
        return None
    labels = (leaf.label for leaf in leaves_of(submission.program) if isinstance(leaf.work, ContainerWork))
    label = min(labels, default=None)
    return None if label is None else f"deploymentSpec.executors.{label}.container"


def without_runtime(path: str) -> InvalidPipeline:
    """The refusal of what no node could run. `path` is where the component brings its own image."""
    rule = (
        "this component brings its own image, and no node that is READY has a container runtime; start an agent with "
        "NODEWISE_CONTAINER_RUNTIME (or --container-runtime) set to docker, podman or a path, or write it as a Python component"
    )
    return InvalidPipeline(path, rule)


def new_run(
    submission: Submission, choice: Choice, datasets: Mapping[str, DatasetFacts], *, now: datetime
) -> NewRun:
    """The rows of a submission. `datasets` are the registered ones among those that it names.

    Raises:
        InvalidParameters: The parameters do not fit the pipeline.
        Problem: 422, a figure is out of range, the deadline has passed, or a data set is unknown.
    """
    request, program = submission.request, submission.program
    _check_datasets(program, datasets, platforms=request.platforms)
    _check_figures(program, datasets)
    run_id, name, caching = RunId(str(uuid.uuid4())), request.name or program.name, request.cache is not False
    parameters = bind(program, request.parameters)
    schedule_id, scheduled_for = _origin(submission)
    facts = RunFacts.of_run(run_id, name, submitted_at=now, scheduled_for=scheduled_for)
    tasks: _Births = (
        _AllTasks(submission, datasets)
        if submission.engine == KUBEFLOW
        else _FirstTasks(submission, advance(program, parameters, {}, facts=facts), datasets, caching=caching)
    )
    return NewRun(
        id=run_id,
        name=name,
        pipeline_name=program.name,
        spec_digest=submission.pipeline.digest,
        ir=request.pipeline_spec,
        platforms=request.platforms,
        parameters=parameters,
        tasks=tasks.all(),
        settled=tasks.settled,
        engine=submission.engine,
        caching=caching,
        team=submission.team,
        priority=_priority(request, program),
        deadline=_deadline(request, program, now),
        policy=choice.policy,
        strategy=choice.strategy,
        request_digest=submission.digest,
        submitted_at=now,
        labels=request.labels,
        idempotency_key=submission.idempotency_key,
        schedule_id=schedule_id,
        scheduled_for=scheduled_for,
        retry_of=submission.retry_of,
        traceparent=submission.traceparent,
    )


def outlined_tasks(submission: Submission, datasets: Mapping[str, DatasetFacts]) -> list[NewTask]:
    """All tasks that the run may come to, as far as that can be told before: what a plan is made for.

    Raises:
        InvalidPipeline: What a task says to Kubernetes contradicts our own hints.
        Problem: 422, what they wait for, each by its whole path, would take too much room.
    """
    return _bounded(_outlined(submission, datasets))


def _outlined(submission: Submission, datasets: Mapping[str, DatasetFacts]) -> Iterator[NewTask]:
    for task in outline(submission.program):
        new = new_task(
            task.step,
            task.leaf,
            path=task.path,
            upstream=task.upstream,
            datasets=datasets,
            engine=submission.engine,
        )
        if submission.engine == KUBEFLOW:
            wanted = requirements(submission.request.platforms, task.leaf.label, new.spec.requirements)
            new = replace(new, spec=replace(new.spec, requirements=wanted), ready=None)
        yield new


class _Births(Protocol):
    """The tasks with which a run begins. `settled`: the recorder has nothing to do yet."""

    @property
    def settled(self) -> bool: ...

    def all(self) -> list[NewTask]: ...


class _AllTasks:
    """All tasks that may come: KFP runs the DAG, and the nodes are chosen before it does."""

    settled = True

    def __init__(self, submission: Submission, datasets: Mapping[str, DatasetFacts]) -> None:
        self._tasks = outlined_tasks(submission, datasets)

    def all(self) -> list[NewTask]:
        return self._tasks


class _FirstTasks:
    """The tasks with which a run begins. What must be looked up first (earlier results) is left to the recorder."""

    def __init__(
        self, submission: Submission, step: Advance, datasets: Mapping[str, DatasetFacts], *, caching: bool
    ) -> None:
        self._program = submission.program
        self._engine = submission.engine
        self._step = step
        self._datasets = datasets
        self._ready = {task.path: task for task in step.ready if _starts_at_once(task, caching=caching)}

    @property
    def settled(self) -> bool:
        """Whether the recorder has nothing to do yet."""
        step = self._step
        return len(self._ready) == len(step.ready) and not (step.skipped or step.failed or step.outcome)

    def all(self) -> list[NewTask]:
        """The tasks.

        Raises:
            Problem: 422, what they wait for, each by its whole path, would take too much room.
        """
        return _bounded(self._born())

    def _born(self) -> Iterator[NewTask]:
        made = Made(birth.path for birth in self._step.new_tasks)
        for birth in self._step.new_tasks:
            upstream = upstream_of(self._program, birth.path, made)
            task = new_task(
                birth.step,
                birth.leaf,
                path=birth.path,
                upstream=upstream,
                datasets=self._datasets,
                engine=self._engine,
            )
            ready = self._ready.get(birth.path)
            if ready is not None:
                yield replace(task, ready=True, inputs=ready.inputs)
            else:
                yield replace(task, reason=_why_it_waits(birth))


def _bounded(tasks: Iterator[NewTask]) -> list[NewTask]:
    """All of them.

    Raises:
        Problem: 422, what they wait for, each by its whole path, would take too much room.
    """
    found, room = list[NewTask](), 0
    for task in tasks:
        room += sum(map(len, task.spec.upstream))
        if room > MOST_UPSTREAM:
            raise invalid("body.pipeline_spec.root.dag.tasks", TOO_BROAD)
        found.append(task)
    return found


def _why_it_waits(birth: Birth) -> str:
    return waits_for(birth.after) if birth.after else "the recorder has not looked at it yet"


def _starts_at_once(task: ReadyTask, *, caching: bool) -> bool:
    reusable = caching and may_be_cached(task.step, task.leaf)
    return task.imported is None and not reusable and needs_before(task.leaf) is not None


def digest_of(value: object) -> str:
    """SHA-256 of the canonical JSON (sorted keys, no spaces)."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def _check_datasets(
    program: Program, datasets: Mapping[str, DatasetFacts], *, platforms: Mapping[str, object]
) -> None:
    """Every data set that a task names is registered, or described.

    Raises:
        Problem: 422, with the field.
    """
    for leaf in leaves_of(program):
        own = leaf.hints.dataset
        described = own is None or own.size_bytes is not None or own.samples is not None
        if own is not None and own.name is not None and own.name not in datasets and not described:
            rule = (
                f"no data set named {own.name!r} is registered, and neither samples nor sizeBytes describe it"
            )
            raise invalid(_dataset_field(platforms, own.name), rule)


def _check_figures(program: Program, datasets: Mapping[str, DatasetFacts]) -> None:
    """Estimates are tried here, so that no absurd figure ever reaches the scheduler.

    Raises:
        Problem: 422.
    """
    one_each = {id(task.leaf): task for task in outline(program)}
    for task in one_each.values():
        try:
            new_task(task.step, task.leaf, path=task.path, upstream=(), datasets=datasets)
        except (OverflowError, ValueError) as error:
            rule = f"the figures of task {task.path!r} are too large to estimate its needs from"
            raise invalid(f"{_HINTS}.deploymentSpec.executors", rule) from error


def _dataset_field(platforms: Mapping[str, object], name: str) -> str:
    executors = platforms
    for key in ("nodewise", "deploymentSpec", "executors"):
        inner = executors.get(key)
        executors = inner if isinstance(inner, dict) else {}
    for label, hints in executors.items():
        if isinstance(hints, dict) and (hints.get("dataset") or {}).get("name") == name:
            return f"{_HINTS}.deploymentSpec.executors.{label}.dataset.name"
    return f"{_HINTS}.deploymentSpec.executors"


def _origin(submission: Submission) -> tuple[ScheduleId | None, datetime | None]:
    origin = submission.origin
    return (origin.schedule_id, origin.scheduled_for) if origin else (None, None)


def _priority(request: SubmitRequest, program: Program) -> int:
    return request.priority if request.priority is not None else program.priority or 0


def _deadline(request: SubmitRequest, program: Program, now: datetime) -> datetime | None:
    if request.deadline is not None:
        if request.deadline <= now:
            raise _past(request.deadline)
        return request.deadline
    if program.deadline_seconds is None:
        return None
    return now + timedelta(seconds=program.deadline_seconds)


def _past(deadline: datetime) -> Problem:
    return invalid("body.deadline", f"must be in the future; {deadline.isoformat()} has passed")
