"""A pipeline and what KFP documents of its run."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

ALWAYS = 1000
"""More attempts than any task has."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """`succeeded`, `skipped` and `failed` are all the tasks that there are at the end. `failures` are failing attempts by path.

    `given` are inputs (some of them) that tasks must have seen; `outputs` are the pipeline's own parameters.
    """

    pipeline: Any
    parameters: Mapping[str, Any] = field(default_factory=dict)
    failures: Mapping[str, int] = field(default_factory=dict)
    outcome: str = "SUCCEEDED"
    succeeded: str = ""
    skipped: str = ""
    failed: str = ""
    outputs: Mapping[str, Any] = field(default_factory=dict)
    given: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    most_live: int | None = None

    @property
    def name(self) -> str:
        return str(self.pipeline.name)
