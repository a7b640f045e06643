"""The recorder as an object: heartbeats come in, a tick looks after what no heartbeat brings. Wired in `worker`."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, Protocol

import structlog
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import OperationalError

from nodewise.core.db.engine import reading, transaction
from nodewise.core.db.queries import attempts, lives, nodes
from nodewise.core.lifecycle import TaskEvent
from nodewise.core.messages import Heartbeat
from nodewise.core.model.ids import AttemptKey, NodeName, RunId
from nodewise.core.sealing import Refusal
from nodewise.core.settings import Settings
from nodewise.recorder import journal, metrics
from nodewise.recorder.apply import Effects, Judge, apply_to_runs, live_attempt
from nodewise.recorder.complaints import Complaints
from nodewise.recorder.hearing import Hearing
from nodewise.recorder.journal import Change, LiveAttempt
from nodewise.recorder.owners import Owners
from nodewise.recorder.programs import Programs

_RUNS_PER_TRANSACTION: Final = 20
_RENEWED_SHARE: Final = 0.75
"""A lease is renewed when less than this share of it is left."""
_REPAIR_EVERY: Final = timedelta(seconds=5)

_log = structlog.get_logger()


class Agents(Protocol):
    """The part of the engine that the recorder uses. Neither raises when the broker is away."""

    def cancel(self, by_node: Mapping[NodeName, Sequence[AttemptKey]]) -> None: ...

    def forget(self, by_node: Mapping[NodeName, Sequence[AttemptKey]]) -> None: ...

    def say_not_heard(self, node: NodeName, why: str) -> None: ...


class Recorder:
    """Says what happened. Every method may be called again, and from another process at the same time.

    `wake` asks the scheduler to look; `listening` says whether the broker answers. `clock` gives aware UTC times.
    """

    def __init__(
        self,
        database: Engine,
        agents: Agents,
        *,
        wake: Callable[[], None],
        listening: Callable[[], bool],
        clock: Callable[[], datetime],
        settings: Settings,
    ) -> None:
        self._database = database
        self._agents = agents
        self.complaints = Complaints(agents.say_not_heard)
        self._owners = Owners()
        self._wake = wake
        self._listening = listening
        self._clock = clock
        self._lease = settings.lease
        longest_gap = max(settings.lease / 2, 3 * settings.tick)
        self._hearing = Hearing(lease=settings.lease, longest_gap=longest_gap, now=clock())
        self._programs = Programs(max_instances=settings.max_tasks_per_run)
        self._repair_at = clock()

    def on_heartbeat(self, heartbeat: Heartbeat, *, fresh: bool = True) -> None:
        """Record all that a heartbeat says, then tell the agent what it may forget and what to give up.

        Ends first: tasks wait for them, and the scheduler for us. Nothing waits for the rest. One that is not `fresh`
        is no sign of life: what it reports is true, and that is all.
        """
        now = self._clock()
        if fresh:
            self._hearing.heard(now)
        metrics.LAG.observe(max(0.0, (now - heartbeat.sent_at).total_seconds()))
        self._end(heartbeat, now)
        newest, room_changed, live = self._see(heartbeat, now, fresh=fresh)
        self._find_strangers(heartbeat)
        effects = self._judge(heartbeat, live, newest=newest, now=now)
        self._report(effects, room_changed=room_changed)
        still_live = {attempt.key for attempt in live} - effects.ended_attempts
        self._tell(heartbeat.node.name, heartbeat, still_live)
        metrics.HEARTBEATS.labels("newest" if newest else "old").inc()

    def tick(self) -> bool:
        """Look after what no heartbeat brings: new runs, cancellations, silence, and what an interrupted recorder left."""
        now = self._clock()
        effects = self._settle_new(now) + self._cancel(now)
        if self._hearing.believes(now, listening=self._listening()):
            effects += self._end_leases(now)
            self._mark_gone(now)
        effects += self._repair(now)
        self._report(effects)
        return False

    def _end(self, heartbeat: Heartbeat, now: datetime) -> None:
        """Record what is said of runs with ends that are not on record yet. What is reported is true whenever it comes."""
        runs = journal.runs_with_ends(heartbeat)
        if not runs:
            return
        with transaction(self._database) as connection:
            rows = attempts.live_on_node(connection, heartbeat.node, of_runs=runs)
        live = [live_attempt(row) for row in rows]
        self._owners.note(heartbeat.node.name, (attempt.key for attempt in live))
        self._report(self._judge(heartbeat, live, newest=False, now=now))

    def _judge(
        self, heartbeat: Heartbeat, live: Sequence[LiveAttempt], *, newest: bool, now: datetime
    ) -> Effects:
        """Apply what the heartbeat means for these live attempts, judged once more when their runs are locked."""
        node = heartbeat.node

        def judge(connection: Connection, run_ids: Sequence[RunId]) -> Sequence[Change]:
            rows = attempts.live_on_node(connection, node, of_runs=run_ids)
            current = [live_attempt(row) for row in rows]
            return journal.read_heartbeat(current, heartbeat, newest=newest, now=now)

        changes = journal.read_heartbeat(live, heartbeat, newest=newest, now=now)
        return self._apply({change.key.run_id for change in changes}, judge, now)

    def _see(
        self, heartbeat: Heartbeat, now: datetime, *, fresh: bool
    ) -> tuple[bool, bool, list[LiveAttempt]]:
        """Node, leases, capacity: (is it the newest, did room appear, live attempts on the node)."""
        node = heartbeat.node.name
        with transaction(self._database) as connection:
            before = nodes.node_state(connection, node)
            newest = fresh and nodes.record_heartbeat(connection, heartbeat, now=now)
            room_changed = False
            if newest:
                self._renew(connection, heartbeat, now)
                room_changed = nodes.set_capacity(connection, heartbeat) or before != "READY"
            live = [live_attempt(row) for row in attempts.live_on_node(connection, heartbeat.node)]
        self._owners.note(node, (attempt.key for attempt in live))
        return newest, room_changed, live

    def _find_strangers(self, heartbeat: Heartbeat) -> None:
        """Reports of attempts that are on other nodes change nothing; here it is seen that there are some."""
        node = heartbeat.node.name
        unknown = self._owners.not_known_of(node, (report.key for report in heartbeat.attempts))
        if not unknown:
            return
        with transaction(self._database) as connection:
            strangers = set(attempts.placed_elsewhere(connection, node, unknown))
        self._owners.note(node, (key for key in unknown if key not in strangers))
        if strangers:
            self.complaints.about(node, Refusal.ATTEMPT, len(strangers))

    def _renew(self, connection: Connection, heartbeat: Heartbeat, now: datetime) -> None:
        attempts.renew_leases(
            connection,
            heartbeat.node.name,
            journal.keys_under_way(heartbeat),
            now=now,
            lease_until=now + self._lease,
            renew_before=now + _RENEWED_SHARE * self._lease,
        )

    def _tell(self, node: NodeName, heartbeat: Heartbeat, live: set[AttemptKey]) -> None:
        forget = journal.keys_to_forget(heartbeat, live)
        void = journal.keys_to_cancel(heartbeat, live)
        if forget:
            self._agents.forget({node: forget})
        if void:
            _log.warning("attempts that no longer count are still under way", node=node, attempts=len(void))
            self._agents.cancel({node: void})

    def _settle_new(self, now: datetime) -> Effects:
        with reading(self._database) as connection:
            run_ids = lives.unsettled_runs(connection)
        return self._apply(run_ids, _no_changes, now)

    def _cancel(self, now: datetime) -> Effects:
        with reading(self._database) as connection:
            run_ids = lives.runs_to_cancel(connection)
            live = attempts.live_attempts_to_cancel(connection) if run_ids else {}
        effects = self._apply(run_ids, _no_changes, now)
        if live:
            self._agents.cancel(live)
        return effects

    def _end_leases(self, now: datetime) -> Effects:
        def judge(connection: Connection, run_ids: Sequence[RunId]) -> Sequence[Change]:
            rows = attempts.with_ended_lease(connection, now=now, of_runs=run_ids)
            return journal.end_leases([live_attempt(row) for row in rows], now=now)

        with reading(self._database) as connection:
            rows = attempts.with_ended_lease(connection, now=now)
        return self._apply({attempts.attempt_key(row).run_id for row in rows}, judge, now)

    def _mark_gone(self, now: datetime) -> None:
        with transaction(self._database) as connection:
            gone = nodes.mark_silent_nodes_gone(connection, before=now - self._lease)
        metrics.GONE.inc(len(gone))
        for name in gone:
            _log.warning("a node fell silent and is not used any more", node=name)

    def _repair(self, now: datetime) -> Effects:
        """Move on what an interrupted recorder left, at the start and now and then."""
        if now < self._repair_at:
            return Effects()
        with reading(self._database) as connection:
            run_ids = lives.stalled_runs(connection)
        effects = self._apply(run_ids, _no_changes, now)
        self._repair_at = now + _REPAIR_EVERY
        return effects

    def _apply(self, run_ids: Iterable[RunId], judge: Judge, now: datetime) -> Effects:
        """In batches; a run that cannot be moved holds up nobody else."""
        ordered = sorted(run_ids)
        effects = Effects()
        for first in range(0, len(ordered), _RUNS_PER_TRANSACTION):
            effects += self._apply_batch(ordered[first : first + _RUNS_PER_TRANSACTION], judge, now)
        return effects

    def _apply_batch(self, run_ids: Sequence[RunId], judge: Judge, now: datetime) -> Effects:
        try:
            with transaction(self._database) as connection:
                return apply_to_runs(connection, run_ids, judge, self._programs, now=now)
        except OperationalError:
            raise
        except Exception:
            if len(run_ids) == 1:
                _log.exception("a run could not be moved on", run_id=run_ids[0])
                return Effects()
        effects = Effects()
        for run_id in run_ids:
            effects += self._apply_batch([run_id], judge, now)
        return effects

    def _report(self, effects: Effects, *, room_changed: bool = False) -> None:
        for event in effects.events:
            metrics.MOVES.labels(event.value).inc()
        metrics.LOST.inc(effects.events.count(TaskEvent.LOSE))
        metrics.ENDED_RUNS.inc(len(effects.ended_runs))
        if room_changed or effects.worth_a_look:
            self._wake()


def _no_changes(connection: Connection, run_ids: Sequence[RunId]) -> Sequence[Change]:  # noqa: ARG001 - a Judge
    return ()
