"""The engine's face: place and submit a run, and what may be done with it afterwards."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from nodewise.core.engine.kubeflow.client import KfpApi
from nodewise.core.engine.kubeflow.errors import KfpRefused, KfpUnavailable
from nodewise.core.engine.kubeflow.nodes import KubernetesNode
from nodewise.core.engine.kubeflow.placement import place
from nodewise.core.engine.kubeflow.runs import KfpRun, KfpState
from nodewise.core.engine.kubeflow.submission import QUIET, Submission, SubmissionJournal, submit
from nodewise.core.model.ids import RunId


class KubeflowEngine:
    """Runs on KFP. Every call may be repeated after anything that went wrong."""

    name = "kubeflow"

    def __init__(
        self,
        kfp: KfpApi,
        journal: SubmissionJournal,
        *,
        clock: Callable[[], datetime],
        quiet: timedelta = QUIET,
    ) -> None:
        self._kfp = kfp
        self._journal = journal
        self._clock = clock
        self._quiet = quiet

    def start(
        self, run: Submission, nodes: Mapping[str, Sequence[KubernetesNode]], *, caching: bool = True
    ) -> KfpRun:
        """Place the run's leaf tasks and make sure that KFP has it, once.

        Raises:
            PlacementConflict: The nodes are not those that its pipeline allows; nothing was sent.
            SubmissionUncertain, KfpUnavailable: Call again later.
            KfpRefused: KFP will not have this run.
        """
        placed = place(run.ir, run.platforms, nodes=nodes, run_id=run.run_id, caching=caching)
        ready = replace(run, ir=placed.ir, platforms=placed.platforms)
        return submit(ready, self._kfp, self._journal, clock=self._clock, quiet=self._quiet)

    def cancel(self, run_id: RunId) -> bool:
        """Ask KFP to end the run. Have `cancel_requested_at` on record first: KFP will call the run failed.

        Returns:
            False where KFP does not know the run: it was never posted, or is on its way; ask again.
        """
        return self._until(run_id, "terminate", lambda run: run.is_final or run.state is KfpState.CANCELING)

    def retry(self, run_id: RunId) -> bool:
        """Ask KFP to run what failed again, in the same run; what ended well is kept. False: KFP does not know it.

        Raises:
            KfpRefused: The run has not failed.
        """
        return self._until(run_id, "retry", lambda run: run.state in (KfpState.PENDING, KfpState.RUNNING))

    def archive(self, run_id: RunId, *, archived: bool = True) -> bool:
        """Put the run away in KFP's own lists, or take it back. False: KFP does not know it."""
        verb = "archive" if archived else "unarchive"
        return self._until(run_id, verb, lambda run: run.archived == archived)

    def _until(self, run_id: RunId, verb: str, done: Callable[[KfpRun], bool]) -> bool:
        """Do it unless it is done; where the answer is lost or no, look whether it was done all the same."""
        run = self._kfp.get_run(run_id)
        if run is None or done(run):
            return run is not None
        try:
            self._kfp.act(run_id, verb)
        except (KfpUnavailable, KfpRefused):
            run = self._kfp.get_run(run_id)
            if run is None or not done(run):
                raise
        return True
