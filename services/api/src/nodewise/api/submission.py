"""From a request to the rows that it becomes. Pure: what it needs from elsewhere comes in as an argument."""

import hashlib
import json
import math
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from nodewise.api.choice import Choice
from nodewise.api.problems import Problem, invalid
from nodewise.api.requests import SubmitRequest
from nodewise.core.db.queries.runs import NewRun, NewTask
from nodewise.core.estimates.effort import effort_flops
from nodewise.core.estimates.memory import dataset_bytes, effective_resources
from nodewise.core.ir import bind_parameters, read_pipeline
from nodewise.core.model.ids import RunId
from nodewise.core.model.pipeline import Pipeline
from nodewise.core.model.task import DatasetFacts, TaskSpec

_HINTS = "body.platform_spec.platforms.nodewise"
_DEFAULT_TEAM = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A request that was read. `digest` is equal for equal bodies, whatever their spelling."""

    request: SubmitRequest
    pipeline: Pipeline
    digest: str
    idempotency_key: str | None = None

    @property
    def team(self) -> str:
        return self.request.team or self.pipeline.team or _DEFAULT_TEAM

    def dataset_names(self) -> frozenset[str]:
        """The data sets that its tasks name."""
        specs = (task.spec for task in self.pipeline.tasks.values())
        return frozenset(spec.dataset.name for spec in specs if spec.dataset and spec.dataset.name)


def read_submission(
    request: SubmitRequest, body: Mapping[str, object], *, key: str | None, max_tasks: int
) -> Submission:
    """Read the pipeline of a request.

    Raises:
        InvalidPipeline: The IR breaks a rule.
    """
    pipeline = read_pipeline(request.pipeline_spec, request.platforms, max_tasks=max_tasks)
    return Submission(request=request, pipeline=pipeline, digest=digest_of(body), idempotency_key=key)


def new_run(
    submission: Submission, choice: Choice, datasets: Mapping[str, DatasetFacts], *, now: datetime
) -> NewRun:
    """The rows of a submission. `datasets` are the registered ones among those that it names.

    Raises:
        InvalidParameters: The parameters do not fit the pipeline.
        Problem: 422, a figure is out of range, the deadline has passed, or a data set is unknown.
    """
    request, pipeline = submission.request, submission.pipeline
    return NewRun(
        id=RunId(str(uuid.uuid4())),
        name=request.name or pipeline.name,
        pipeline_name=pipeline.name,
        spec_digest=digest_of({"ir": request.pipeline_spec, "platforms": request.platforms}),
        ir=request.pipeline_spec,
        platforms=request.platforms,
        parameters=bind_parameters(pipeline, request.parameters),
        tasks=[
            _new_task(with_facts(task.spec, datasets, platforms=request.platforms))
            for task in pipeline.tasks.values()
        ],
        team=submission.team,
        priority=_priority(request, pipeline),
        deadline=_deadline(request, pipeline, now),
        policy=choice.policy,
        strategy=choice.strategy,
        request_digest=submission.digest,
        submitted_at=now,
        labels=request.labels,
        idempotency_key=submission.idempotency_key,
    )


def digest_of(value: object) -> str:
    """SHA-256 of the canonical JSON (sorted keys, no spaces)."""
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def with_facts(
    spec: TaskSpec, datasets: Mapping[str, DatasetFacts], *, platforms: Mapping[str, object]
) -> TaskSpec:
    """The task with the registry's measurements of the data set that it names, over what its author said.

    A data set that is not registered stands, if its author described it: only its metadata is known then.

    Raises:
        Problem: 422, it is neither registered nor described.
    """
    own = spec.dataset
    if own is None or own.name is None:
        return spec
    known = datasets.get(own.name)
    if known is not None:
        return replace(spec, dataset=_merged(own, known))
    if own.size_bytes is None and own.samples is None:
        rule = f"no data set named {own.name!r} is registered, and neither samples nor sizeBytes describe it"
        raise invalid(_dataset_field(platforms, own.name), rule)
    return spec


def _merged(own: DatasetFacts, known: DatasetFacts) -> DatasetFacts:
    return replace(
        known,
        samples=own.samples if known.samples is None else known.samples,
        features=own.features if known.features is None else known.features,
        classes=own.classes if known.classes is None else known.classes,
        types=known.types or own.types,
        measured=True,
    )


def _dataset_field(platforms: Mapping[str, object], name: str) -> str:
    executors = platforms
    for key in ("nodewise", "deploymentSpec", "executors"):
        inner = executors.get(key)
        executors = inner if isinstance(inner, dict) else {}
    for label, hints in executors.items():
        if isinstance(hints, dict) and (hints.get("dataset") or {}).get("name") == name:
            return f"{_HINTS}.deploymentSpec.executors.{label}.dataset.name"
    return f"{_HINTS}.deploymentSpec.executors"


def _new_task(spec: TaskSpec) -> NewTask:
    """The row of a task. Its estimates are tried here, so that no absurd figure ever reaches the scheduler."""
    try:
        effective_resources(spec)
        effort = effort_flops(spec)
        size = dataset_bytes(spec.dataset) if spec.dataset else None
        input_bytes = None if size is None else float(size)
    except (OverflowError, ValueError) as error:
        rule = f"the figures of task {spec.path!r} are too large to estimate its needs from"
        raise invalid(f"{_HINTS}.deploymentSpec.executors", rule) from error
    known = effort if effort is not None and math.isfinite(effort) else None
    return NewTask(spec=spec, effort_flops=known, input_bytes=input_bytes)


def _priority(request: SubmitRequest, pipeline: Pipeline) -> int:
    return request.priority if request.priority is not None else pipeline.priority or 0


def _deadline(request: SubmitRequest, pipeline: Pipeline, now: datetime) -> datetime | None:
    if request.deadline is not None:
        if request.deadline <= now:
            raise _past(request.deadline)
        return request.deadline
    if pipeline.deadline_seconds is None:
        return None
    return now + timedelta(seconds=pipeline.deadline_seconds)


def _past(deadline: datetime) -> Problem:
    return invalid("body.deadline", f"must be in the future; {deadline.isoformat()} has passed")
