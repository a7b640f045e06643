"""A pipeline of mlopx as it was read: values, before it becomes IR."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from nodewise.core.compat.mlopx.texts import Part, Source, UnreadableScript
from nodewise.core.model.component import Parameter, ValueKind


class ArtifactKind(StrEnum):
    """The types of artifacts; the value is the IR's."""

    DATASET = "system.Dataset"
    MODEL = "system.Model"


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """One component file. `source` is what runs on a node; `line` that of its function, `texts` its literal texts by line."""

    function: str
    file: Source = field(repr=False)
    line: int
    parameters: Mapping[str, Parameter]
    inputs: Mapping[str, ArtifactKind]
    outputs: Mapping[str, ArtifactKind]
    returns: ValueKind | None
    source: str
    texts: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """A persistent volume claim, and where the component wants it. `line` is that of its mounting (None: not known)."""

    claim: str
    path: str
    line: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """A component as the pipeline uses it, in line `line` of `script` (None: not known)."""

    component: Component
    image: str
    arguments: Mapping[str, object]
    volumes: tuple[Volume, ...] = ()
    script: str = "pipeline.py"
    line: int | None = None

    def refused(self, reason: str) -> UnreadableScript:
        """The refusal of this use."""
        text = f"{self.component.function}: {reason}"
        return UnreadableScript(Part.PIPELINE, self.script, text, line=self.line)


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """What a pipeline of mlopx became.

    `platforms` are the sections by name, `notes` what its author should know: what was left out, or taken otherwise.
    `volumes` are the claims by executor label: only Kubernetes has them.
    """

    name: str
    pipeline_spec: Mapping[str, object]
    platforms: Mapping[str, object]
    notes: tuple[str, ...] = ()
    volumes: Mapping[str, tuple[Volume, ...]] = field(default_factory=dict)
