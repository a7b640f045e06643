"""What a pipeline says of Kubernetes, as far as choosing nodes needs it. Pure.

The reader of pipelines refuses what agents cannot give: volumes, secrets, affinity. On KFP all of that works, so it is kept from
the reader, and what concerns the choice of nodes is read here.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from nodewise.core.engine.kubeflow.constraints import own_tolerations, required_terms, selected_labels
from nodewise.core.engine.kubeflow.nodes import ENGINE
from nodewise.core.errors import InvalidPipeline
from nodewise.core.model.task import Requirements

_EXECUTORS: Final = "platforms.kubernetes.deploymentSpec.executors"
_FOR_ANY_ENGINE: Final = ("activeDeadlineSeconds",)


def sections(platforms: Mapping[str, Any]) -> Mapping[str, Any]:
    """The platforms by name, where the second document of a file was given as a whole, too."""
    inner = platforms.get("platforms")
    return inner if isinstance(inner, dict) else platforms


def readable(platforms: Mapping[str, Any]) -> dict[str, Any]:
    """The platforms for `ir.read_program`."""
    found = dict(sections(platforms))
    if isinstance(found.get("kubernetes"), dict):
        kept = {
            label: {name: config[name] for name in _FOR_ANY_ENGINE if name in config}
            for label, config in _executors(platforms).items()
            if isinstance(config, dict)
        }
        found["kubernetes"] = {"deploymentSpec": {"executors": kept}}
    return found


def requirements(platforms: Mapping[str, Any], label: str, wanted: Requirements) -> Requirements:
    """What a task of this engine requires: our own hints, and what its executor says to Kubernetes.

    Raises:
        InvalidPipeline: the two contradict.
    """
    config = _executors(platforms).get(label)
    if not isinstance(config, dict):
        return replace(wanted, engine=ENGINE)
    labels = selected_labels(config)
    for key, value in labels.items():
        if wanted.labels.get(key, value) != value:
            rule = f"is {value!r}, but platforms.nodewise requires {wanted.labels[key]!r}"
            raise InvalidPipeline(f"{_EXECUTORS}.{label}.nodeSelector.labels.{key}", rule)
    return replace(
        wanted,
        engine=ENGINE,
        labels={**labels, **wanted.labels},
        affinity=required_terms(config),
        tolerations=own_tolerations(config),
    )


def _executors(platforms: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Any = sections(platforms)
    for name in ("kubernetes", "deploymentSpec", "executors"):
        found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}
