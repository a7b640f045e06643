"""What may be said of a task or a pipeline besides its code."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, TypedDict

from nodewise.core.model.quantities import mebibytes, millicores
from nodewise.core.model.task import TaskKind

_DURATION_PART: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([dhms])")
_SECONDS: Final = {"d": 86_400.0, "h": 3600.0, "m": 60.0, "s": 1.0}


@dataclass(frozen=True, slots=True)
class Resources:
    """What a task needs. What is left out takes Nodewise's default (one core, 256 MiB).

    `Resources(cpu=2, memory="4Gi", gpu=1)`; CPU also as "500m", memory as Kubernetes writes it.
    """

    cpu: float | str | None = None
    memory: str | None = None
    gpu: int | None = None

    def __post_init__(self) -> None:
        _ = self.millicores, self.memory_mib
        if self.gpu is not None and self.gpu < 0:
            raise ValueError(f"gpu must not be negative, is {self.gpu}")

    @property
    def millicores(self) -> int | None:
        if self.cpu is None:
            return None
        return millicores(self.cpu if isinstance(self.cpu, str) else f"{self.cpu:.3f}")

    @property
    def memory_mib(self) -> int | None:
        return None if self.memory is None else mebibytes(self.memory)


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetHint:
    """What is known of a task's data set; with the name of a registered one, the registry knows the rest."""

    name: str | None = None
    kind: str | None = None
    samples: int | None = None
    features: int | None = None
    classes: int | None = None
    types: Mapping[str, int] = field(default_factory=dict)
    size_bytes: int | None = None
    normalised: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelHint:
    """The model that a task trains or evaluates, for example `random_forest`, and its hyper-parameters."""

    type: str
    parameters: Mapping[str, Any] = field(default_factory=dict)


class TaskOptions(TypedDict, total=False):
    """Options of `@task`. All may be left out.

    `image` is used by KFP only and must carry kfp; without one KFP installs it in a plain Python image. `packages` are pip
    requirements that are installed before it runs. `cache=True` reuses what an equal call left before; without it every call
    runs. `timeout` is a timedelta, seconds, or text such as "2h" or "90m". `task_class` groups tasks that take equally long.
    """

    kind: TaskKind | str
    resources: Resources
    dataset: "DatasetHint | Mapping[str, Any] | str"
    model: "ModelHint | Mapping[str, Any] | str"
    task_class: str
    retries: int
    timeout: "timedelta | float | str"
    cache: bool
    image: str
    packages: Sequence[str]
    env: Mapping[str, str]


KFP_NAMES: Final[Mapping[str, str]] = {
    "packages_to_install": "packages",
    "base_image": "image",
    "enable_caching": "cache",
}
"""What KFP calls options of ours."""


class PipelineOptions(TypedDict, total=False):
    """Options of `@pipeline`. The name defaults to the function's, the description to its docstring.

    `deadline` counts from the submission, for example "6h".
    """

    name: str
    description: str
    priority: int
    deadline: "timedelta | float | str"
    team: str


def seconds_of(duration: "timedelta | float | str") -> float:
    """A duration in seconds: a timedelta, a number, or text such as "90s", "1h30m", "2d".

    Raises:
        ValueError: it is none of these, or not positive.
    """
    seconds = _text_seconds(duration) if isinstance(duration, str) else duration
    number = seconds.total_seconds() if isinstance(seconds, timedelta) else seconds
    if not number > 0:
        raise ValueError(f"a duration must be positive, is {duration!r}")
    return float(number)


def _text_seconds(text: str) -> float:
    parts = _DURATION_PART.findall(text)
    if not parts or _DURATION_PART.sub("", text).strip():
        raise ValueError(f"a duration is written as 90s, 15m, 1h30m or 2d, not {text!r}")
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)


def task_hints(options: TaskOptions) -> dict[str, Any]:
    """The options that `platforms.nodewise` carries for an executor.

    Raises:
        ValueError: an option is not what it should be.
    """
    _check_plain(options)
    hints: dict[str, Any] = {}
    if "kind" in options:
        hints["kind"] = str(_kind(options["kind"]))
    if "task_class" in options:
        hints["taskClass"] = options["task_class"]
    if "dataset" in options:
        hints["dataset"] = _dataset(options["dataset"])
    if "model" in options:
        hints["model"] = _model(options["model"])
    if "timeout" in options:
        hints["timeoutSeconds"] = seconds_of(options["timeout"])
    return hints


def pipeline_hints(options: PipelineOptions) -> dict[str, Any]:
    """The options that `platforms.nodewise` carries for a pipeline.

    Raises:
        ValueError: an option is not what it should be.
    """
    hints: dict[str, Any] = {key: options[key] for key in ("priority", "team") if key in options}
    if "deadline" in options:
        hints["deadlineSeconds"] = seconds_of(options["deadline"])
    return hints


def names_of(names: "str | Sequence[str] | None") -> list[str]:
    """One name or several, as a list."""
    if names is None:
        return []
    return [names] if isinstance(names, str) else list(names)


def _check_plain(options: TaskOptions) -> None:
    packages = options.get("packages", ())
    if isinstance(packages, str) or not all(isinstance(name, str) and name.strip() for name in packages):
        raise ValueError(f"packages must be a list of pip requirements, is {packages!r}")
    if options.get("cache", False) not in (True, False):
        raise ValueError(f"cache must be True or False, is {options['cache']!r}")
    retries = options.get("retries", 0)
    if isinstance(retries, bool) or not isinstance(retries, int) or retries < 0:
        raise ValueError(f"retries must be a whole number, is {retries!r}")


def _kind(kind: TaskKind | str) -> TaskKind:
    try:
        return TaskKind(kind)
    except ValueError as error:
        raise ValueError(f"kind must be one of {', '.join(TaskKind)}, is {kind!r}") from error


def _dataset(hint: "DatasetHint | Mapping[str, Any] | str") -> dict[str, Any]:
    if isinstance(hint, str):
        return {"name": hint}
    given = hint if isinstance(hint, DatasetHint) else DatasetHint(**hint)
    facts = {
        "name": given.name,
        "kind": given.kind,
        "samples": given.samples,
        "features": given.features,
        "classes": given.classes,
        "types": dict(given.types) or None,
        "sizeBytes": given.size_bytes,
        "normalised": given.normalised,
    }
    return {key: value for key, value in facts.items() if value is not None}


def _model(hint: "ModelHint | Mapping[str, Any] | str") -> dict[str, Any]:
    if isinstance(hint, str):
        return {"type": hint}
    given = hint if isinstance(hint, ModelHint) else ModelHint(**hint)
    return {"type": given.type, **({"parameters": dict(given.parameters)} if given.parameters else {})}
