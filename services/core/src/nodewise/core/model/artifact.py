"""What travels between tasks: parameter values and references to artifacts in the store."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

ADDRESS: Final = re.compile(r"store://(file|tree)/([0-9a-f]{64})")
"""Of what lies in our store."""
_SCHEME: Final = "store:"


def leads_nowhere(uri: str) -> bool:
    """Whether it looks like an address of our store, and is none."""
    return uri.startswith(_SCHEME) and ADDRESS.fullmatch(uri) is None


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactRef:
    """An artifact in the content-addressed store.

    `uri` is `store://file/<sha256>` or `store://tree/<sha256>` (a directory). `metadata` is what the task's code set.
    """

    name: str
    uri: str
    schema_title: str = "system.Artifact"
    size_bytes: int = 0
    metadata: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskOutputs:
    """What a finished task left: parameter values and artifacts, by output name."""

    parameters: Mapping[str, object] = field(default_factory=dict)
    artifacts: Mapping[str, ArtifactRef] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Values:
    """Parameters and artifacts by name: inputs or outputs. An artifact is always a list, of one where it is a single one."""

    parameters: Mapping[str, object] = field(default_factory=dict)
    artifacts: Mapping[str, tuple[ArtifactRef, ...]] = field(default_factory=dict)
