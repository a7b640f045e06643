"""A task that brings its own image is not told to do without it."""

from datetime import UTC, datetime

import pytest

from nodewise.api.explaining.needs import allowed_on
from nodewise.core.model.ids import NodeName, TaskPath
from nodewise.core.model.node import Cluster, Node, NodeView
from nodewise.core.model.resources import Resources
from nodewise.core.model.task import Requirements, TaskSpec

ROOMY = Resources(millicores=4000, memory_mib=4096)


@pytest.mark.parametrize(
    ("wanted", "allowed"),
    [
        (Requirements(containers=True), False),
        (Requirements(engine="kubeflow"), False),
        (Requirements(architectures=("arm64",)), True),
        (Requirements(containers=True, architectures=("arm64",)), False),
    ],
)
def test_what_a_task_is_made_for_stays(wanted: Requirements, allowed: bool) -> None:
    view = NodeView(node=Node(name=NodeName("n1"), capacity=ROOMY))
    cluster = Cluster(nodes=(view,), taken_at=datetime(2030, 1, 1, tzinfo=UTC))
    spec = TaskSpec(path=TaskPath("a"), component="a", requirements=wanted)
    assert (allowed_on(spec, view, cluster) is not None) is allowed
