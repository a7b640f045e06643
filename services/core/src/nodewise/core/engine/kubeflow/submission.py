"""One KFP run for one of ours, whatever breaks in between.

The protocol, each step safe to repeat:

1. KFP is asked for the run, by the id that we chose. If it has it, only step 5 is left.
2. If a post may be on its way, nothing is posted for a while: KFP starts the workflow before it shows the run, and does
   not refuse a second workflow of one id.
3. `intend` is committed: from here on a post may be on its way. Of several who try at once, one is let through.
4. The run is posted. If the answer is lost, KFP is asked again; if it does not know the run yet, step 2 holds next time.
5. `confirm` is committed.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

from nodewise.core.engine.kubeflow.client import KfpApi
from nodewise.core.engine.kubeflow.errors import KfpRefused, KfpUnavailable, SubmissionUncertain
from nodewise.core.engine.kubeflow.runs import KfpRun
from nodewise.core.model.ids import RunId

QUIET: Final = timedelta(seconds=60)
"""So long after a post without an answer, a run that KFP does not show is taken as not posted. Longer than its gateways'
usual time-outs: what is not there by then was never begun."""


class SubmissionJournal(Protocol):
    """What is on our record of a submission. Each call is a transaction that has been committed when it returns."""

    def posted_at(self, run_id: RunId) -> datetime | None:
        """When a post of this run was last intended without a known end; None: there is none."""
        ...

    def intend(self, run_id: RunId, at: datetime, *, instead_of: datetime | None) -> bool:
        """Write that a post may be on its way from `at` on, if what is on record is still `instead_of`.

        False, and nothing is written, where somebody else was faster, or the run shall not be posted any more.
        """
        ...

    def withdraw(self, run_id: RunId) -> None:
        """The post that was intended had no effect, for certain."""
        ...

    def confirm(self, run_id: RunId, run: KfpRun) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """What is sent. `run_id` is ours, and becomes KFP's. `ir` and `platforms` have been placed already."""

    run_id: RunId
    name: str
    ir: Mapping[str, Any]
    platforms: Mapping[str, Any]
    parameters: Mapping[str, Any]
    experiment_id: str | None = None
    service_account: str | None = None
    pipeline_root: str | None = None


def submit(
    submission: Submission,
    kfp: KfpApi,
    journal: SubmissionJournal,
    *,
    clock: Callable[[], datetime],
    quiet: timedelta = QUIET,
) -> KfpRun:
    """Make sure that KFP has the run. May be called again after anything, by anybody, also by several at once.

    Raises:
        SubmissionUncertain: A post may be on its way; call again after the time that it names.
        KfpUnavailable: KFP does not answer; nothing is lost, call again.
        KfpRefused: KFP will not have this run.
    """
    run_id = submission.run_id
    posted = journal.posted_at(run_id)
    found = kfp.get_run(run_id)
    if found is None:
        now = clock()
        if posted is not None and now < posted + quiet:
            raise SubmissionUncertain(run_id, posted + quiet)
        if not journal.intend(run_id, now, instead_of=posted):
            raise SubmissionUncertain(run_id, now + quiet)
        found = _post(submission, kfp, journal, until=now + quiet)
    journal.confirm(run_id, found)
    return found


def _post(submission: Submission, kfp: KfpApi, journal: SubmissionJournal, *, until: datetime) -> KfpRun:
    run_id = submission.run_id
    try:
        return kfp.create_run(body_of(submission))
    except KfpRefused:
        found = kfp.get_run(run_id)
        if found is None:
            journal.withdraw(run_id)
            raise
        return found
    except KfpUnavailable as error:
        if not error.uncertain:
            journal.withdraw(run_id)
            raise
        found = kfp.get_run(run_id)
        if found is None:
            raise SubmissionUncertain(run_id, until) from error
        return found


def body_of(submission: Submission) -> dict[str, Any]:
    """The body of the post; what is None is left out, since older servers refuse fields that they do not know."""
    runtime: dict[str, Any] = {"parameters": dict(submission.parameters)}
    if submission.pipeline_root is not None:
        runtime["pipeline_root"] = submission.pipeline_root
    spec: Mapping[str, Any] = submission.ir
    if submission.platforms:
        spec = {"pipeline_spec": submission.ir, "platform_spec": {"platforms": submission.platforms}}
    body = {
        "run_id": submission.run_id,
        "display_name": submission.name,
        "pipeline_spec": spec,
        "runtime_config": runtime,
        "experiment_id": submission.experiment_id,
        "service_account": submission.service_account,
    }
    return {name: value for name, value in body.items() if value is not None}
