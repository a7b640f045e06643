"""Binds whole runs, one transaction each: claim, decide, check, book, record."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from random import Random
from typing import Final

import redis
import structlog
from prometheus_client import Counter
from sqlalchemy import Connection, Engine

from nodewise.core.cluster import load_cluster
from nodewise.core.db.engine import transaction
from nodewise.core.db.forecasts import Forecaster
from nodewise.core.db.queries import kubeflow as queries
from nodewise.core.db.queries.kubeflow import ClaimedRun, UnboundTask
from nodewise.core.db.queries.placements import ClaimedTask
from nodewise.core.db.queries.specs import compiled_specs
from nodewise.core.engine.kubeflow.errors import PlacementConflict
from nodewise.core.engine.kubeflow.leaves import leaves
from nodewise.core.engine.kubeflow.nodes import ENGINE, KubernetesNode, of_node
from nodewise.core.engine.kubeflow.paths import in_the_ir
from nodewise.core.engine.kubeflow.placement import place
from nodewise.core.engine.kubeflow.reading import sections
from nodewise.core.errors import InvalidPipeline, UnknownName
from nodewise.core.lifecycle import TaskState
from nodewise.core.model.decision import Deferral, Placement, Reason, ReasonCode
from nodewise.core.model.ids import NodeName, RunId, TaskRef
from nodewise.core.model.node import Cluster
from nodewise.core.model.task import TaskSpec
from nodewise.core.ports import Strategy
from nodewise.core.settings import Settings
from nodewise.placer.context import mapping_context
from nodewise.placer.kubeflow.binding import Binding, Unbound, bind, nodes_by_leaf
from nodewise.placer.kubeflow.recording import FOREVER, bind_later, defer_all
from nodewise.placer.settle import Desk, settle

_RUNS_PER_LOOK: Final = 100
_REST: Final = timedelta(seconds=15)
"""A run of which some task fits no node is looked at again after so long: only another node would help."""

_BOUND = Counter("nodewise_kubeflow_bound_total", "Runs bound early, by what came of it.", ["outcome"])
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlyPlacer:
    """The edges of early binding. As many as you like may look at once: each takes runs of its own."""

    name: str
    engine: Engine
    redis: "redis.Redis"
    settings: Settings
    strategies: Mapping[str, Strategy]
    options: Mapping[str, Mapping[str, object]]
    rng: Random
    clock: Callable[[], datetime]
    submit_soon: Callable[[], None]
    forecaster: Forecaster = field(default_factory=Forecaster)

    def look(self) -> bool:
        """Bind every run of which a task was admitted; True when there may be more to do right now."""
        lost: list[RunId] = []
        for _ in range(_RUNS_PER_LOOK):
            if not self._next(lost):
                return bool(lost)
        return True

    def _next(self, lost: list[RunId]) -> bool:
        """Bind the next run but the `lost` ones, whose room others took meanwhile; False: there is none."""
        with transaction(self.engine) as connection:
            run = queries.claim_run(connection, without=lost)
            if run is None:
                return False
            outcome = self._bind(connection, run)
        _BOUND.labels(outcome).inc()
        _log.info("bound a run", run_id=run.id, outcome=outcome)
        if outcome == "lost":
            lost.append(run.id)
        elif outcome == "bound":
            self.submit_soon()
        return True

    def _bind(self, connection: Connection, run: ClaimedRun) -> str:
        now = self.clock()
        tasks = queries.unbound_tasks(connection, run.id)
        cluster = _of_engine(load_cluster(connection, self.redis, now=now, staleness=self.settings.staleness))
        forecast = self.forecaster.current(connection)
        context = mapping_context(self, connection, forecast, now=now)
        binding = bind([_unbound(one) for one in tasks], cluster, context)
        if binding.refused is not None:
            defer_all(connection, tasks, _why_all_wait(binding.refused), now=now, until=now + _REST)
            return "refused"
        desk = Desk(placer=self.name, now=now, lease=FOREVER, cluster=cluster, forecast=forecast)
        return self._recorded(connection, run, tasks, binding=binding, desk=desk)

    def _recorded(
        self,
        connection: Connection,
        run: ClaimedRun,
        tasks: Sequence[UnboundTask],
        *,
        binding: Binding,
        desk: Desk,
    ) -> str:
        placements = [*binding.placed_now, *binding.later]
        specs = {one.task.ref: one.task.spec for one in tasks}
        nodes, conflict = _written(connection, run, placements, cluster=desk.cluster, specs=specs)
        if conflict is not None:
            queries.insert_submission(connection, run.id, nodes, at=desk.now)
            queries.refuse(connection, run.id, conflict, at=desk.now)
            return "conflict"
        claimed = {one.task.ref: _claimed(one, run) for one in tasks}
        admitted = [claimed[decision.ref] for decision in binding.now]
        settled = settle(connection, admitted, binding.now, desk)
        if not settled.placed:
            return "lost" if settled.lost else "deferred"
        refs = {key.task for key in settled.placed}
        states = {one.task.ref: one.state for one in tasks}
        states |= {one.ref: TaskState.READY for one in settled.deferred}
        later = [one for one in placements if one.ref not in refs]
        bind_later(connection, [(claimed[one.ref], states[one.ref], one) for one in later], desk)
        queries.insert_submission(connection, run.id, nodes, at=desk.now)
        return "bound"


def _of_engine(cluster: Cluster) -> Cluster:
    return replace(cluster, nodes=tuple(view for view in cluster.nodes if view.node.engine == ENGINE))


def _unbound(one: UnboundTask) -> Unbound:
    return Unbound(task=one.task, admitted=one.state is TaskState.ADMITTED, expected_node=one.expected_node)


def _claimed(one: UnboundTask, run: ClaimedRun) -> ClaimedTask:
    return ClaimedTask(
        task=one.task, key=one.key, run_name=run.name, spec_digest=run.spec_digest, inputs=None
    )


def _why_all_wait(refused: Deferral) -> Reason:
    text = (
        f"the run is bound as a whole, and its task {refused.ref.path!r} finds no node: {refused.reason.text}"
    )
    return Reason(code=refused.reason.code, text=text)


def _written(
    connection: Connection,
    run: ClaimedRun,
    placements: Sequence[Placement],
    *,
    cluster: Cluster,
    specs: Mapping[TaskRef, TaskSpec],
) -> tuple[queries.Nodes, Reason | None]:
    """The nodes as they are written into the pipeline, and what keeps them from being written (None: nothing does).

    Rounds of one loop whose image is another one on each kind of node are kept to the kind of the first.
    """
    ir, platforms = compiled_specs(connection, [run.spec_digest])[run.spec_digest]
    open_loops = {path for path, leaf in leaves(ir).items() if leaf.open_loop}
    known = {view.name: of_node(view.node) for view in cluster.nodes}
    nodes = nodes_by_leaf(placements, in_the_ir, cluster=cluster, open_loops=open_loops, specs=specs)
    problem: Exception | None = None
    for chosen in (nodes, {path: _of_one_kind(names, known) for path, names in nodes.items()}):
        hosts = {path: [known[name] for name in names] for path, names in chosen.items()}
        try:
            place(ir, sections(platforms), nodes=hosts, run_id=run.id, caching=run.caching)
        except (PlacementConflict, InvalidPipeline, UnknownName) as error:
            problem = problem or error
        else:
            return chosen, None
    return nodes, Reason(code=ReasonCode.PLACEMENT_CONFLICT, text=str(problem))


def _of_one_kind(names: Sequence[NodeName], known: Mapping[NodeName, KubernetesNode]) -> list[NodeName]:
    first = known[names[0]]
    return [
        name
        for name in names
        if (known[name].architecture, known[name].accelerator) == (first.architecture, first.accelerator)
    ]
