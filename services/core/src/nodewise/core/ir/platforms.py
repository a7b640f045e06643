"""Platform sections: our own hints, and the few things of Kubernetes' that hold for any cluster.

`platforms.nodewise` is read strictly. A pipeline's own hints stand under `config`, which plain KFP accepts as
well; `pipelineConfig` is read too. Of `platforms.kubernetes` a node selector and a task's deadline are honoured, what concerns
pods or workflows only is ignored, and what a run would miss (volumes, secrets, a deadline of its own) is refused. Other
platforms are ignored.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum
from typing import Final, TypeVar

from nodewise.core.errors import InvalidPipeline, UnsupportedFeature
from nodewise.core.estimates.memory import room_mib
from nodewise.core.ir.fields import Fields
from nodewise.core.ir.guard import at
from nodewise.core.ir.parameters import whole_numbers
from nodewise.core.model.ids import NodeName
from nodewise.core.model.quantities import LARGEST_AMOUNT
from nodewise.core.model.task import (
    DataKind,
    DatasetFacts,
    ModelFacts,
    Preferences,
    Requirements,
    TaskKind,
)

_TEN_YEARS_SECONDS: Final = 10 * 366 * 86_400.0
_PRIORITY_LIMIT: Final = 1_000_000
_HOSTNAME: Final = "kubernetes.io/hostname"
_ARCHITECTURE: Final = "kubernetes.io/arch"
_POD_ONLY: Final = frozenset(
    {
        "podMetadata",
        "imagePullSecret",
        "imagePullPolicy",
        "tolerations",
        "securityContext",
        "enabledSharedMemory",
    }
)
_WORKFLOW_ONLY: Final = frozenset({"resourceTtlOnCompletion", "resourceTtlOnSuccess", "resourceTtlOnFailure"})
_WITHOUT_WORKFLOWS: Final = {
    "workspace": "pass artifacts from task to task, or run the pipeline on KFP",
    "activeDeadlineSeconds": "give tasks time limits of their own, or run the pipeline on KFP",
}
"""What to do instead of settings of a whole run."""
_Choice = TypeVar("_Choice", bound=StrEnum)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutorHints:
    """What the platform sections say of one executor label."""

    kind: TaskKind = TaskKind.OTHER
    task_class: str | None = None
    dataset: DatasetFacts | None = None
    model: ModelFacts | None = None
    requirements: Requirements = field(default_factory=Requirements)
    preferences: Preferences = field(default_factory=Preferences)
    timeout: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformHints:
    """What the platform sections say of a whole pipeline. A label without an entry has no hints."""

    priority: int | None = None
    deadline_seconds: float | None = None
    team: str | None = None
    executors: Mapping[str, ExecutorHints] = field(default_factory=dict)

    def of(self, label: str) -> ExecutorHints:
        return self.executors.get(label) or ExecutorHints()


def read_platforms(platforms: Mapping[str, object], *, labels: frozenset[str]) -> PlatformHints:
    """The hints of all platforms that we know.

    Args:
        platforms: by platform name; has passed `check_json`.
        labels: the executor labels of the IR.

    Raises:
        InvalidPipeline: with a path from `platforms`.
    """
    hints = _read_nodewise(Fields(platforms.get("nodewise") or {}, "platforms.nodewise"), labels)
    kubernetes = Fields(platforms.get("kubernetes") or {}, "platforms.kubernetes")
    _check_pipeline_config(kubernetes.group("pipelineConfig"))
    executors = dict(hints.executors)
    section = kubernetes.group("deploymentSpec").group("executors")
    for label in sorted(labels):
        executors[label] = _with_kubernetes(hints.of(label), section.group(label))
    return replace(hints, executors=executors)


def _read_nodewise(fields: Fields, labels: frozenset[str]) -> PlatformHints:
    config, pipeline_config = fields.group("config"), fields.group("pipelineConfig")
    deployment = fields.group("deploymentSpec")
    fields.take("platform")
    fields.done()
    section = deployment.group("executors")
    deployment.done()
    executors = {label: _executor(section.group(label)) for label in sorted(labels)}
    section.done()
    if config and pipeline_config:
        raise InvalidPipeline(pipeline_config.path, "is the same as config; give one of them")
    return replace(_pipeline(config or pipeline_config), executors=executors)


def _pipeline(fields: Fields) -> PlatformHints:
    hints = PlatformHints(
        priority=fields.count("priority", least=-_PRIORITY_LIMIT, most=_PRIORITY_LIMIT),
        deadline_seconds=fields.seconds("deadlineSeconds", most=_TEN_YEARS_SECONDS),
        team=fields.text("team", longest=64),
    )
    fields.done()
    return hints


def _executor(fields: Fields) -> ExecutorHints:
    timeout = fields.seconds("timeoutSeconds", most=_TEN_YEARS_SECONDS)
    hints = ExecutorHints(
        kind=_choice(fields, "kind", TaskKind) or TaskKind.OTHER,
        task_class=fields.text("taskClass"),
        dataset=_dataset(fields.group("dataset")),
        model=_model(fields.group("model")),
        requirements=_requirements(fields.group("requirements")),
        preferences=_preferences(fields.group("preferences")),
        timeout=None if timeout is None else timedelta(seconds=timeout),
    )
    fields.done()
    return hints


def _dataset(fields: Fields) -> DatasetFacts | None:
    if not fields:
        return None
    normalised = fields.flag("normalised")
    facts = DatasetFacts(
        name=fields.text("name"),
        kind=_choice(fields, "kind", DataKind) or DataKind.TABULAR,
        samples=fields.count("samples"),
        features=fields.count("features"),
        classes=fields.count("classes"),
        types=_counts(fields.group("types")),
        size_bytes=fields.count("sizeBytes"),
        normalised=True if normalised is None else normalised,
    )
    fields.done()
    if room_mib(facts) > LARGEST_AMOUNT:
        raise InvalidPipeline(fields.path, "is larger than any machine's memory")
    return facts


def _counts(fields: Fields) -> Mapping[str, int]:
    return {name: fields.count(name) or 0 for name in fields.names()}


def _model(fields: Fields) -> ModelFacts | None:
    if not fields:
        return None
    kind = fields.text("type")
    if kind is None:
        raise InvalidPipeline(at(fields.path, "type"), "is required: the model's type, such as random_forest")
    parameters = fields.group("parameters")
    read = {name: _hyper_parameter(parameters, name) for name in parameters.names()}
    fields.done()
    return ModelFacts(type=kind.lower(), parameters=read)


def _hyper_parameter(fields: Fields, name: str) -> float | int | str | bool | list[float | int] | None:
    value = whole_numbers(fields.take(name))
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list) and all(isinstance(x, int | float) and not isinstance(x, bool) for x in value):
        return value
    raise InvalidPipeline(at(fields.path, name), "must be a number, text, true, false or a list of numbers")


def _requirements(fields: Fields) -> Requirements:
    requirements = Requirements(
        nodes=tuple(NodeName(name) for name in fields.texts("nodes")),
        architectures=fields.texts("architectures"),
        worker_types=fields.texts("workerTypes"),
        accelerator=fields.text("accelerator"),
        labels=fields.labels("labels"),
    )
    fields.done()
    return requirements


def _preferences(fields: Fields) -> Preferences:
    preferences = Preferences(
        nodes=tuple(NodeName(name) for name in fields.texts("nodes")),
        accelerator=fields.text("accelerator"),
        labels=fields.labels("labels"),
    )
    fields.done()
    return preferences


def _choice(fields: Fields, name: str, kind: type[_Choice]) -> _Choice | None:
    value = fields.text(name)
    if value is None:
        return None
    try:
        return kind(value)
    except ValueError as error:
        raise InvalidPipeline(at(fields.path, name), f"must be one of {', '.join(kind)}") from error


def _check_pipeline_config(fields: Fields) -> None:
    """Refuse what KFP would do for the run as a whole and agents do not.

    Raises:
        UnsupportedFeature: a workspace, a time limit of the whole run, or something that we do not know.
    """
    for name in fields.names():
        if name not in _WORKFLOW_ONLY:
            instead = _WITHOUT_WORKFLOWS.get(name, "leave it out, or run the pipeline on KFP")
            raise UnsupportedFeature(at(fields.path, name), f"{name[:80]} of a whole run", instead)


def _with_kubernetes(hints: ExecutorHints, fields: Fields) -> ExecutorHints:
    deadline = fields.seconds("activeDeadlineSeconds", most=_TEN_YEARS_SECONDS)
    selector = fields.group("nodeSelector")
    labels = selector.labels("labels")
    for name in selector.names():
        raise UnsupportedFeature(
            at(selector.path, name), "a node selector from a parameter", "use plain labels"
        )
    for name in fields.names():
        if name not in _POD_ONLY:
            raise UnsupportedFeature(
                at(fields.path, name),
                f"{name[:80]} of Kubernetes",
                "leave it out, or run the pipeline on KFP",
            )
    timeout = hints.timeout or (None if deadline is None else timedelta(seconds=deadline))
    return replace(hints, timeout=timeout, requirements=_selected(hints.requirements, labels))


def _selected(requirements: Requirements, labels: Mapping[str, str]) -> Requirements:
    rest = {key: value for key, value in labels.items() if key not in (_HOSTNAME, _ARCHITECTURE)}
    hostname, architecture = labels.get(_HOSTNAME), labels.get(_ARCHITECTURE)
    return replace(
        requirements,
        nodes=requirements.nodes or ((NodeName(hostname),) if hostname else ()),
        architectures=requirements.architectures or ((architecture,) if architecture else ()),
        labels={**rest, **requirements.labels},
    )
