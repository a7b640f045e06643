"""What a new task's row says of its size: the registry's measurements of its data set, its work, its bytes."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from nodewise.core.estimates.effort import effort_flops
from nodewise.core.estimates.memory import dataset_bytes, effective_resources
from nodewise.core.model.task import DatasetFacts, TaskSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """The estimated work of a task, and the bytes of its data set; None: unknown."""

    effort_flops: float | None
    input_bytes: float | None


def with_measurements(spec: TaskSpec, datasets: Mapping[str, DatasetFacts]) -> TaskSpec:
    """The task with what is measured of the data set that it names, over what its author said.

    A data set that is not registered stands as its author described it.
    """
    own = spec.dataset
    known = datasets.get(own.name) if own and own.name else None
    if own is None or known is None:
        return spec
    return replace(spec, dataset=_merged(own, known))


def size_of(spec: TaskSpec) -> Size:
    """Its size.

    Raises:
        ValueError, OverflowError: its author's figures are too large to estimate anything from.
    """
    effective_resources(spec)
    effort = effort_flops(spec)
    size = dataset_bytes(spec.dataset) if spec.dataset else None
    return Size(
        effort_flops=effort if effort is not None and math.isfinite(effort) else None,
        input_bytes=None if size is None else float(size),
    )


def _merged(own: DatasetFacts, known: DatasetFacts) -> DatasetFacts:
    return replace(
        known,
        samples=own.samples if known.samples is None else known.samples,
        features=own.features if known.features is None else known.features,
        classes=own.classes if known.classes is None else known.classes,
        types=known.types or own.types,
        measured=True,
    )
