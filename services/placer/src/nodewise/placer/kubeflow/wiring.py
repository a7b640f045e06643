"""The loops of a placer that belong to the engine `kubeflow`; none where it is not configured."""

from dataclasses import dataclass
from datetime import timedelta

from nodewise.core.engine.kubeflow.client import KfpClient
from nodewise.core.engine.kubeflow.configured import kfp_client
from nodewise.core.engine.kubeflow.engine import KubeflowEngine
from nodewise.core.messages import WAKE_RECORDER
from nodewise.core.messaging.loop import WakeLoop
from nodewise.placer.kubeflow.journal import PostgresJournal
from nodewise.placer.kubeflow.placing import EarlyPlacer
from nodewise.placer.kubeflow.submitting import Submitter
from nodewise.placer.service import Placer


@dataclass(frozen=True, slots=True, kw_only=True)
class KubeflowLoops:
    """Binding, and submitting: apart, so that a KFP that is slow to answer holds up nothing else."""

    client: KfpClient
    binding: WakeLoop
    submitting: WakeLoop

    def start(self) -> None:
        self.binding.start()
        self.submitting.start()

    def wake(self) -> None:
        self.binding.wake()

    def stop(self, timeout: float) -> None:
        """End after the looks that are under way."""
        self.binding.stop(timeout)
        self.submitting.stop(timeout)
        self.client.close()


def create_loops(placer: Placer) -> KubeflowLoops | None:
    """The loops beside that placer, not started; None: no KFP is configured."""
    settings = placer.settings
    client = kfp_client(settings)
    if client is None:
        return None
    kubeflow = KubeflowEngine(
        client,
        PostgresJournal(placer.engine, placer.clock),
        clock=placer.clock,
        quiet=timedelta(seconds=settings.kfp_quiet_seconds),
    )
    submitter = Submitter(
        engine=placer.engine,
        kubeflow=kubeflow,
        settings=settings,
        clock=placer.clock,
        refused_soon=lambda: placer.waker.wake(WAKE_RECORDER),
    )
    submitting = WakeLoop("kubeflow-submitting", submitter.look, settings.tick)
    early = EarlyPlacer(
        name=placer.name,
        engine=placer.engine,
        redis=placer.redis,
        settings=settings,
        strategies=placer.strategies,
        options=placer.options,
        rng=placer.rng,
        clock=placer.clock,
        submit_soon=submitting.wake,
    )
    binding = WakeLoop("kubeflow-binding", early.look, settings.tick)
    return KubeflowLoops(client=client, binding=binding, submitting=submitting)
