"""The recorder's look at KFP: what became of the runs that it has, and the ends of those that it never will."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import structlog
from prometheus_client import Counter, Gauge
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import OperationalError

from nodewise.core.db.engine import transaction
from nodewise.core.db.queries import kubeflow_following as queries
from nodewise.core.db.queries.kubeflow_following import FollowedRun
from nodewise.core.db.queries.lives import OpenRun
from nodewise.core.engine.kubeflow.client import KfpApi
from nodewise.core.engine.kubeflow.engine import KubeflowEngine
from nodewise.core.engine.kubeflow.errors import KfpRefused, KfpUnavailable
from nodewise.core.engine.kubeflow.following import Poll, poll, sight
from nodewise.core.engine.kubeflow.runs import KfpRun, KfpState
from nodewise.core.engine.kubeflow.tasks import RunSighting, from_details
from nodewise.core.lifecycle import RunEvent, RunState
from nodewise.core.model.decision import Reason, ReasonCode
from nodewise.core.model.ids import RunId, TaskPath
from nodewise.core.settings import Settings
from nodewise.recorder.kubeflow.applying import Applied, Judge, apply, book_started
from nodewise.recorder.kubeflow.archiving import tell_kfp
from nodewise.recorder.kubeflow.journal import end_all, read_run
from nodewise.recorder.kubeflow.known import KnownTask, Verdict
from nodewise.recorder.kubeflow.missing import Missing

RUNS_PER_TRANSACTION: Final = 20

_FOLLOWED = Gauge("nodewise_kfp_followed_runs", "Runs whose end is to be read from KFP.")
_POLLS = Counter("nodewise_kfp_polls_total", "Looks at KFP, by outcome.", ["outcome"])
_log = structlog.get_logger()


@dataclass(slots=True)
class _Kept:
    """What one look leaves to the next. Losing it costs a full reading of what has not ended."""

    digests: dict[str, int] = field(default_factory=dict)
    missing: Missing = field(default_factory=Missing)


class Follower:
    """Turns what KFP shows into the record. Every look may be made again, also by another process at the same time.

    `wake` asks the scheduler to look.
    """

    def __init__(
        self,
        database: Engine,
        kfp: KfpApi,
        kubeflow: KubeflowEngine,
        *,
        settings: Settings,
        clock: Callable[[], datetime],
        wake: Callable[[], None],
    ) -> None:
        self._database = database
        self._kfp = kfp
        self._kubeflow = kubeflow
        self._clock = clock
        self._wake = wake
        self._quiet = timedelta(seconds=settings.kfp_quiet_seconds)
        self._patience = timedelta(seconds=settings.kfp_lost_seconds)
        self._kept = _Kept()

    def look(self) -> bool:
        """One look; True when there is more to do right now (never).

        1. End what KFP never had: what it refused, what was canceled before it was posted.
        2. Ask KFP for all that it has of ours; what it says it does not have is lost only after a while.
        3. Read what changed in detail, and write it, run by run.
        4. Ask KFP to end what somebody canceled, until it shows that it does.
        5. Tell KFP what was put away here.
        """
        applied = self._end_what_kfp_never_had()
        with transaction(self._database) as connection:
            followed = {run.id: run for run in queries.followed_runs(connection)}
        _FOLLOWED.set(len(followed))
        try:
            applied += self._follow(followed)
            tell_kfp(self._database, self._kubeflow)
            _POLLS.labels("answered").inc()
        except KfpUnavailable as error:
            _POLLS.labels("unavailable").inc()
            _log.warning("KFP does not answer; nothing is taken for failed", problem=error.problem)
        except KfpRefused as error:
            _POLLS.labels("refused").inc()
            _log.error("KFP does not let us look", problem=str(error))
        if applied.ended or applied.ended_runs:
            self._wake()
        return False

    def _follow(self, followed: Mapping[RunId, FollowedRun]) -> Applied:
        found = poll(self._kfp, followed, digests=self._kept.digests)
        self._kept.digests = {key: old for key, old in self._kept.digests.items() if key in found.runs}
        applied = self._lose(followed, found)
        wanted = found.changed | {run.id for run in followed.values() if _cancel_is_news(run)}
        for batch in _batches(sorted(RunId(key) for key in wanted if key in found.runs)):
            applied += self._read(batch, found)
        self._cancel(followed, found)
        return applied

    def _read(self, run_ids: Sequence[RunId], found: Poll) -> Applied:
        seen = {run_id: self._sight(found.runs[run_id]) for run_id in run_ids}
        now = self._clock()

        def judge(_: Connection, run: OpenRun, tasks: Mapping[TaskPath, KnownTask]) -> Verdict:
            kfp_run, canceled = found.runs[run.id], run.cancel_requested
            return read_run(tasks, kfp_run, seen[run.id], cancel_requested=canceled, now=now)

        applied, failed = self._apply(run_ids, judge)
        # What could not be written is read again at the next look.
        self._kept.digests |= {run_id: found.digests[run_id] for run_id in run_ids if run_id not in failed}
        return applied

    def _sight(self, run: KfpRun) -> RunSighting:
        found = sight(self._kfp, run)
        if found.detailed:
            return found
        with transaction(self._database) as connection:
            paths = queries.paths_of(connection, RunId(run.run_id))
        return from_details(run, once=[path for path in paths if "[" not in path])

    def _end_what_kfp_never_had(self) -> Applied:
        with transaction(self._database) as connection:
            refused = queries.refused_runs(connection)
            canceled = queries.canceled_before_their_post(connection)
        applied, _ = self._apply(
            sorted(refused), lambda _, run, tasks: self._ended(tasks, refused[run.id], run.cancel_requested)
        )
        return applied + self._apply(canceled, self._canceled_unposted)[0]

    def _canceled_unposted(
        self, connection: Connection, run: OpenRun, tasks: Mapping[TaskPath, KnownTask]
    ) -> Verdict | None:
        if run.id not in queries.canceled_before_their_post(connection):
            return None
        return self._ended(tasks, _CANCELED, canceled=True)

    def _ended(self, tasks: Mapping[TaskPath, KnownTask], why: Reason, canceled: bool) -> Verdict:
        event = RunEvent.CANCEL if canceled else RunEvent.FAIL
        return end_all(tasks, why, event=event, now=self._clock())

    def _lose(self, followed: Mapping[RunId, FollowedRun], found: Poll) -> Applied:
        """End what KFP has said several times, over a while, that it does not have."""
        now = self._clock()
        self._kept.missing.told(found.unknown, now=now)
        unposted = {
            run.id for run in followed.values() if run.id in found.unknown and self._never_came(run, now)
        }
        lost = {
            RunId(key)
            for key in self._kept.missing.beyond(self._patience, now=now)
            if followed[RunId(key)].confirmed
        }
        if lost:
            _log.error("KFP has lost runs", runs=sorted(lost))
        applied, _ = self._apply(
            sorted(lost | unposted),
            lambda _, run, tasks: self._ended(tasks, _LOST, run.cancel_requested),
        )
        return applied

    def _never_came(self, run: FollowedRun, now: datetime) -> bool:
        """Whether a run that is to be canceled was posted, perhaps, and did not arrive: it will not be posted again."""
        posted = run.posted_at
        return (
            run.cancel_requested and not run.confirmed and posted is not None and now > posted + self._quiet
        )

    def _cancel(self, followed: Mapping[RunId, FollowedRun], found: Poll) -> None:
        for run in followed.values():
            shown = found.runs.get(run.id)
            if not run.cancel_requested or shown is None:
                continue
            if not shown.is_final and shown.state is not KfpState.CANCELING:
                self._terminate(run.id)

    def _terminate(self, run_id: RunId) -> None:
        try:
            self._kubeflow.cancel(run_id)
        except (KfpUnavailable, KfpRefused) as error:
            _log.warning("KFP did not end a run yet; asking again", run_id=run_id, problem=str(error))

    def _apply(self, run_ids: Iterable[RunId], judge: Judge) -> tuple[Applied, set[RunId]]:
        """In batches; a run that cannot be written holds up nobody else. Returns those that could not."""
        applied, failed = Applied(), set[RunId]()
        for batch in _batches(list(run_ids)):
            one, bad = self._apply_batch(batch, judge)
            applied, failed = applied + one, failed | bad
        book_started(self._database, applied.started)
        return applied, failed

    def _apply_batch(self, run_ids: Sequence[RunId], judge: Judge) -> tuple[Applied, set[RunId]]:
        try:
            with transaction(self._database) as connection:
                return apply(connection, run_ids, judge, now=self._clock()), set()
        except OperationalError:
            raise
        except Exception:
            if len(run_ids) == 1:
                _log.exception("what KFP shows of a run could not be recorded", run_id=run_ids[0])
                return Applied(), set(run_ids)
        applied, failed = Applied(), set[RunId]()
        for run_id in run_ids:
            one, bad = self._apply_batch([run_id], judge)
            applied, failed = applied + one, failed | bad
        return applied, failed


_CANCELED: Final = Reason(code=ReasonCode.RUN_CANCELED, text="the run was canceled before KFP had it")
_LOST: Final = Reason(
    code=ReasonCode.KFP_LOST_RUN, text="KFP has said for a while that it does not know this run any more"
)


def _cancel_is_news(run: FollowedRun) -> bool:
    return run.cancel_requested and run.state is not RunState.CANCELING


def _batches(run_ids: Sequence[RunId]) -> Iterable[Sequence[RunId]]:
    for first in range(0, len(run_ids), RUNS_PER_TRANSACTION):
        yield run_ids[first : first + RUNS_PER_TRANSACTION]
