"""Compiled pipelines, nodes and a journal for tests of the Kubeflow engine."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import yaml
from kfp import compiler

from nodewise.core.engine.kubeflow.nodes import HOSTNAME, KubernetesNode, Taint
from nodewise.core.engine.kubeflow.runs import KfpRun
from nodewise.core.engine.kubeflow.submission import Submission
from nodewise.core.errors import Unavailable
from nodewise.core.model.ids import NodeName, RunId
from nodewise.core.model.resources import Resources


def compiled(pipeline: Any, folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """IR and platforms of a pipeline, by KFP's compiler."""
    path = folder / "pipeline.yaml"
    compiler.Compiler().compile(pipeline, str(path))
    ir, *rest = yaml.safe_load_all(path.read_text(encoding="utf-8"))
    return ir, (rest[0]["platforms"] if rest else {})


def a_node(
    name: str = "n1", *, taints: tuple[Taint, ...] = (), gpus: int = 0, **labels: str
) -> KubernetesNode:
    """A node that is well; underscores in the names of labels are dashes."""
    own = {key.replace("_", "-"): value for key, value in labels.items()}
    return KubernetesNode(
        name=NodeName(name),
        hostname=own.pop("hostname", f"{name}.local"),
        allocatable=Resources(millicores=4000, memory_mib=8191, gpus=gpus),
        architecture=own.pop("arch", "amd64"),
        labels={HOSTNAME: labels.get("hostname", f"{name}.local"), **own},
        taints=taints,
        conditions={"Ready": "True"},
    )


def a_submission(document: tuple[Mapping[str, Any], Mapping[str, Any]], **parameters: Any) -> Submission:
    ir, platforms = document
    return Submission(
        run_id=RunId(str(uuid4())), name="a run", ir=ir, platforms=platforms, parameters=parameters
    )


@dataclass
class MemoryJournal:
    """A `SubmissionJournal` that outlives what is killed in a test."""

    posted: dict[str, datetime] = field(default_factory=dict)
    confirmed: dict[str, KfpRun] = field(default_factory=dict)

    def posted_at(self, run_id: RunId) -> datetime | None:
        return self.posted.get(run_id)

    def intend(self, run_id: RunId, at: datetime, *, instead_of: datetime | None) -> bool:
        if self.posted.get(run_id) != instead_of or run_id in self.confirmed:
            return False
        self.posted[run_id] = at
        return True

    def withdraw(self, run_id: RunId) -> None:
        self.posted.pop(run_id, None)

    def confirm(self, run_id: RunId, run: KfpRun) -> None:
        self.confirmed[run_id] = run
        self.posted.pop(run_id, None)


@dataclass
class FakeNodes:
    """A `NodesSource` in memory; `down` makes it unavailable."""

    known: list[KubernetesNode] = field(default_factory=list)
    down: bool = False

    def nodes(self) -> Sequence[KubernetesNode]:
        if self.down:
            raise Unavailable("the pretended Kubernetes API is down")
        return sorted(self.known, key=lambda node: node.name)
