"""The loops of the recorder that belong to the engine `kubeflow`; none where it is not configured."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine

from nodewise.core.engine.kubeflow.client import KfpClient
from nodewise.core.engine.kubeflow.configured import kfp_client, kubernetes_nodes
from nodewise.core.engine.kubeflow.engine import KubeflowEngine
from nodewise.core.engine.kubeflow.kubernetes_api import KubernetesNodes
from nodewise.core.engine.kubeflow.runs import KfpRun
from nodewise.core.messaging.loop import WakeLoop
from nodewise.core.model.ids import RunId
from nodewise.core.settings import Settings
from nodewise.recorder.kubeflow.following import Follower
from nodewise.recorder.kubeflow.nodes import NodeWatch


@dataclass(frozen=True, slots=True, kw_only=True)
class KubeflowLoops:
    """Following runs, and watching nodes: apart, so that neither waits for the other's server."""

    client: KfpClient
    source: KubernetesNodes
    following: WakeLoop
    watching: WakeLoop

    def start(self) -> None:
        self.watching.start()
        self.following.start()

    def wake(self) -> None:
        self.following.wake()

    def stop(self, timeout: float) -> None:
        """End after the looks that are under way."""
        self.following.stop(timeout)
        self.watching.stop(timeout)
        self.client.close()
        self.source.close()


def create_loops(settings: Settings, database: Engine, wake: Callable[[], None]) -> KubeflowLoops | None:
    """The loops, not started; None: no KFP is configured. `wake` asks the scheduler to look."""
    client = kfp_client(settings)
    if client is None:
        return None
    source = kubernetes_nodes(settings)
    follower = Follower(
        database,
        client,
        KubeflowEngine(client, _NoSubmissions(), clock=_now),
        settings=settings,
        clock=_now,
        wake=wake,
    )
    watch = NodeWatch(database, source, settings=settings, clock=_now, wake=wake)
    return KubeflowLoops(
        client=client,
        source=source,
        following=WakeLoop("kubeflow-following", follower.look, timedelta(seconds=settings.kfp_poll_seconds)),
        watching=WakeLoop("kubernetes-nodes", watch.look, timedelta(seconds=settings.kubernetes_seconds)),
    )


def _now() -> datetime:
    return datetime.now(UTC)


class _NoSubmissions:
    """The journal of a process that submits nothing."""

    def posted_at(self, run_id: RunId) -> datetime | None:
        raise NotImplementedError

    def intend(self, run_id: RunId, at: datetime, *, instead_of: datetime | None) -> bool:
        raise NotImplementedError

    def withdraw(self, run_id: RunId) -> None:
        raise NotImplementedError

    def confirm(self, run_id: RunId, run: KfpRun) -> None:
        raise NotImplementedError
