"""A working cluster answers as if it asked every node anew, whatever it was asked before."""

from random import Random

from bench.placing import NOW
from nodewise.core.estimates.memory import effective_resources
from nodewise.core.feasibility import exclusion_of
from nodewise.core.model.ids import NodeName, RunId, TaskPath, TaskRef
from nodewise.core.model.node import Cluster, Node, NodeView
from nodewise.core.model.resources import Resources
from nodewise.core.model.task import Requirements, TaskSpec, WaitingTask
from nodewise.placer.placement import Survey, WorkingCluster

CLUSTER = Cluster(
    nodes=tuple(
        NodeView(
            node=Node(
                name=NodeName(f"n{number}"),
                capacity=Resources(millicores=1000 * number, memory_mib=1000),
                worker_type=("low-cpu", "high-cpu")[number % 2],
            )
        )
        for number in range(1, 6)
    ),
    taken_at=NOW,
)


def task(rng: Random, number: int) -> WaitingTask:
    path = TaskPath(f"t{number}")
    spec = TaskSpec(
        path=path,
        component="c",
        resources=Resources(millicores=rng.choice((500, 500, 500, 2000)), memory_mib=100),
        requirements=Requirements(worker_types=rng.choice(((), (), ("high-cpu",)))),
    )
    return WaitingTask(
        ref=TaskRef(run_id=RunId("r"), path=path),
        spec=spec,
        submitted_at=NOW,
        ready_at=NOW,
        allowed_nodes=rng.choice((None, None, None, (NodeName("n2"), NodeName("n3")))),
    )


def asked_anew(cluster: Cluster, one: WaitingTask) -> Survey:
    found = [(view, exclusion_of(one, view, cluster)) for view in cluster.nodes]
    return Survey(
        feasible=tuple(view for view, excluded in found if excluded is None),
        exclusions=tuple(excluded for _, excluded in found if excluded is not None),
    )


def test_a_survey_after_bookings_equals_one_that_asks_all() -> None:
    booked = 0
    for seed in range(50):
        rng, working = Random(seed), WorkingCluster(CLUSTER)
        for number in range(25):
            one = task(rng, number)
            found = working.survey(one)
            assert found == asked_anew(working.snapshot(), one)
            if found.feasible:
                booked += 1
                working.book(rng.choice(found.feasible).name, effective_resources(one.spec))
    assert booked > 500
