"""From a reference to a job to a Job of Kubernetes."""

from dataclasses import dataclass
from datetime import datetime

from nodewise.agent.verdicts import presentable
from nodewise.carrier.api import KubernetesApi, Refused
from nodewise.carrier.decisions import Attempt
from nodewise.carrier.manifests import Pods
from nodewise.core.engine.kubeflow.nodes import KubernetesNode
from nodewise.core.errors import ArtifactMissing, JobUnreadable, NodewiseError, UnresolvedInput
from nodewise.core.jobfiles import read_job
from nodewise.core.lifecycle import AttemptState
from nodewise.core.messages import AttemptReport
from nodewise.core.model.decision import ReasonCode
from nodewise.core.model.ids import AttemptKey
from nodewise.core.model.job import Job
from nodewise.core.store import ArtifactStore

_OF_THE_JOB = frozenset({400, 413, 422})
"""What is wrong with the Job itself: it would be refused the next time, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """The limits of a Job that was made."""

    memory_mib: int | None
    timeout_seconds: float | None


class NotMade(NodewiseError):
    """There will be no Job: that is the end of the attempt."""

    def __init__(self, reason: ReasonCode, text: str) -> None:
        self.reason = reason
        super().__init__(text)

    def report(self, key: AttemptKey, now: datetime) -> AttemptReport:
        return AttemptReport(
            key=key,
            state=AttemptState.FAILED,
            finished_at=now,
            reason=self.reason,
            message=presentable(str(self)),
        )


class Maker:
    """Makes Jobs. Making one twice makes one."""

    def __init__(self, api: KubernetesApi, pods: Pods, store: ArtifactStore) -> None:
        self._api = api
        self._pods = pods
        self._store = store

    def make(self, attempt: Attempt, node: KubernetesNode | None) -> Made:
        """Make the Job of an attempt on its node (None: there is none of that name).

        Raises:
            NotMade: It cannot be made.
            StoreError: Its job cannot be read now.
            Unavailable: Kubernetes does not answer now.
        """
        if node is None:
            raise NotMade(ReasonCode.AGENT_ERROR, f"node {attempt.node} is not in the cluster any more")
        job = self._job(attempt)
        try:
            self._api.create_job(self._pods.job(attempt.ref, job, node))
        except UnresolvedInput as error:
            raise NotMade(ReasonCode.AGENT_ERROR, str(error)) from error
        except Refused as error:
            reason = ReasonCode.POD_FAILED if error.status in _OF_THE_JOB else ReasonCode.AGENT_ERROR
            raise NotMade(reason, str(error)) from error
        seconds = job.timeout.total_seconds() if job.timeout else None
        return Made(memory_mib=job.memory_limit_mib, timeout_seconds=seconds)

    def _job(self, attempt: Attempt) -> Job:
        try:
            return read_job(self._store, attempt.ref.job_uri, attempt.key)
        except (ArtifactMissing, JobUnreadable) as error:
            raise NotMade(ReasonCode.AGENT_ERROR, str(error)) from error
