"""A recorder on a real database with everything else faked: placements by hand, agents that only remember, a clock to turn."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import Connection, Engine, insert, text, update

from nodewise.api.choice import Choice
from nodewise.api.requests import submit_request
from nodewise.api.submission import new_run, read_submission
from nodewise.core.db import schema
from nodewise.core.db.engine import transaction
from nodewise.core.db.queries.bookings import BookingRequest, book
from nodewise.core.db.queries.datasets import datasets_named
from nodewise.core.db.queries.moves import TaskMove, move_tasks
from nodewise.core.db.queries.submissions import insert_run
from nodewise.core.lifecycle import AttemptState, RunState, TaskEvent, TaskState
from nodewise.core.messages import AttemptReport, Heartbeat
from nodewise.core.model.decision import Reason, ReasonCode
from nodewise.core.model.ids import AttemptKey, NodeName, RunId, TaskPath, TaskRef
from nodewise.core.model.node import Node
from nodewise.core.model.resources import Resources
from nodewise.core.model.task import RetryPolicy
from nodewise.core.settings import Settings
from nodewise.recorder.service import Recorder
from tests.support.pipelines import compiled
from tests.support.rows import NOW

TASK_SIZE = Resources(millicores=100, memory_mib=10)
NODE_SIZE = Resources(millicores=4000, memory_mib=4000)
MAX_TASKS = 2000


@dataclass
class Clock:
    """Time that only a test moves."""

    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now

    def forward(self, seconds: float) -> datetime:
        self.now += timedelta(seconds=seconds)
        return self.now


@dataclass
class RememberingAgents:
    """Stands in for the engine: remembers what agents were told."""

    canceled: list[AttemptKey] = field(default_factory=list)
    forgotten: list[AttemptKey] = field(default_factory=list)
    not_heard: list[tuple[NodeName, str]] = field(default_factory=list)

    def say_not_heard(self, node: NodeName, why: str) -> None:
        self.not_heard.append((node, why))

    def cancel(self, by_node: Mapping[NodeName, Sequence[AttemptKey]]) -> None:
        self.canceled += [key for keys in by_node.values() for key in keys]

    def forget(self, by_node: Mapping[NodeName, Sequence[AttemptKey]]) -> None:
        self.forgotten += [key for keys in by_node.values() for key in keys]


@dataclass
class World:
    """A recorder, what it can see, and hands that do what the other services would do."""

    engine: Engine
    clock: Clock = field(default_factory=Clock)
    agents: RememberingAgents = field(default_factory=RememberingAgents)
    listening: bool = True
    wakes: int = 0
    sequences: dict[str, int] = field(default_factory=dict)
    container_runtime: str | None = None
    recorder: Recorder = field(init=False)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """The recorder was killed and a new one starts: nothing is left of the old but the rows."""
        self.recorder = Recorder(
            self.engine,
            self.agents,
            wake=self._count_wake,
            listening=lambda: self.listening,
            clock=self.clock,
            settings=Settings(lease_seconds=10, tick_seconds=1),
        )

    def _count_wake(self) -> None:
        self.wakes += 1

    def submit(
        self,
        upstream: Mapping[str, Sequence[str]],
        *,
        retry: RetryPolicy | None = None,
        name: str | None = None,
    ) -> RunId:
        """A run of these tasks (path -> upstream paths, in topological order)."""
        return self.submit_pipeline(compiled(tasks=upstream, retry=retry), name=name)

    def submit_pipeline(
        self,
        ir: Mapping[str, object],
        *,
        platforms: Mapping[str, object] | None = None,
        **options: object,
    ) -> RunId:
        """A run of a compiled pipeline, as the api writes it; `options` are those of its requests. Nobody is woken."""
        body: dict[str, object] = {"pipeline_spec": ir, **options}
        if platforms:
            body["platform_spec"] = platforms
        submission = read_submission(
            submit_request(body), body, key=None, settings=Settings(max_tasks_per_run=MAX_TASKS)
        )
        with transaction(self.engine) as connection:
            found = datasets_named(connection, submission.dataset_names())
            facts = {name: row.facts for name, row in found.items()}
            run = new_run(submission, Choice(policy="fifo", strategy="greedy"), facts, now=self.clock.now)
            insert_run(connection, run)
        return run.id

    def place(self, run_id: RunId, path: str, node: str = "n1") -> AttemptKey:
        """Admit and place a READY task, as scheduler and placer do."""
        ref = TaskRef(run_id=run_id, path=TaskPath(path))
        now = self.clock.now
        with transaction(self.engine) as connection:
            number = (
                1
                + connection.execute(
                    text("SELECT attempt FROM tasks WHERE run_id = :run_id AND path = :path FOR UPDATE"),
                    {"run_id": run_id, "path": path},
                ).scalar_one()
            )
            key = AttemptKey(run_id=run_id, path=TaskPath(path), attempt=number)
            self._insert_attempt(connection, key, node)
            request = BookingRequest(key=key, node=NodeName(node), resources=TASK_SIZE)
            assert book(connection, [request], at=now) == {key}
            admit = TaskMove(
                ref=ref, state=TaskState.READY, event=TaskEvent.ADMIT, at=now, reason=_why(), position=1
            )
            assert move_tasks(connection, [admit], service="scheduler")
            place = TaskMove(
                ref=ref,
                state=TaskState.ADMITTED,
                event=TaskEvent.PLACE,
                at=now,
                reason=_why(),
                attempt=number,
            )
            assert move_tasks(connection, [place], service="placer")
        return key

    def reject(self, run_id: RunId, path: str, text_: str) -> None:
        """Admit a READY task and fail it for good, as a placer does that can make no job of it."""
        ref, now = TaskRef(run_id=run_id, path=TaskPath(path)), self.clock.now
        admit = TaskMove(
            ref=ref, state=TaskState.READY, event=TaskEvent.ADMIT, at=now, reason=_why(), position=1
        )
        reject = TaskMove(
            ref=ref,
            state=TaskState.ADMITTED,
            event=TaskEvent.REJECT,
            at=now,
            reason=Reason(code=ReasonCode.JOB_NOT_BUILT, text=text_),
            finished_at=now,
        )
        with transaction(self.engine) as connection:
            assert move_tasks(connection, [admit], service="scheduler")
            assert move_tasks(connection, [reject], service="placer")

    def _insert_attempt(self, connection: Connection, key: AttemptKey, node: str) -> None:
        connection.execute(
            insert(schema.attempts).values(
                run_id=key.run_id,
                path=key.path,
                attempt=key.attempt,
                node=node,
                node_class="default",
                state="PLACED",
                policy="fifo",
                strategy="greedy",
                reason_code="placed",
                reason="only node",
                candidates=[],
                placer="placer-1",
                placed_at=self.clock.now,
                lease_until=self.clock.now + timedelta(seconds=10),
            )
        )

    def heartbeat(
        self,
        *reports: AttemptReport,
        node: str = "n1",
        boot: str = "boot-1",
        capacity: Resources = NODE_SIZE,
        leaving: bool = False,
    ) -> Heartbeat:
        """The next heartbeat of a node, not yet sent."""
        self.sequences[node] = self.sequences.get(node, 0) + 1
        return Heartbeat(
            node=Node(name=NodeName(node), capacity=capacity, container_runtime=self.container_runtime),
            boot_id=boot,
            sequence=self.sequences[node],
            sent_at=self.clock.now,
            attempts=reports,
            leaving=leaving,
        )

    def hear(
        self,
        *reports: AttemptReport,
        node: str = "n1",
        boot: str = "boot-1",
        capacity: Resources = NODE_SIZE,
        leaving: bool = False,
    ) -> Heartbeat:
        """Send the next heartbeat of a node and let the recorder read it."""
        heartbeat = self.heartbeat(*reports, node=node, boot=boot, capacity=capacity, leaving=leaving)
        self.recorder.on_heartbeat(heartbeat)
        return heartbeat

    def request_cancel(self, run_id: RunId) -> None:
        """As the api does."""
        with transaction(self.engine) as connection:
            connection.execute(
                update(schema.runs)
                .where(schema.runs.c.id == run_id)
                .values(cancel_requested_at=self.clock.now)
            )

    def one(self, query: str, **parameters: object) -> tuple[object, ...]:
        """The only row of a query."""
        (row,) = self.all(query, **parameters)
        return row

    def all(self, query: str, **parameters: object) -> list[tuple[object, ...]]:
        with self.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(query), parameters)]

    def run_state(self, run_id: RunId) -> RunState:
        (state,) = self.one("SELECT state FROM runs WHERE id = :id", id=run_id)
        return RunState(state)

    def task_states(self, run_id: RunId) -> dict[str, str]:
        found = self.all("SELECT path, state FROM tasks WHERE run_id = :id ORDER BY ordinal", id=run_id)
        return {str(path): str(state) for path, state in found}

    def attempt_state(self, key: AttemptKey) -> AttemptState:
        (state,) = self.one(
            "SELECT state FROM attempts WHERE run_id = :run_id AND path = :path AND attempt = :attempt",
            run_id=key.run_id,
            path=key.path,
            attempt=key.attempt,
        )
        return AttemptState(state)

    def open_bookings(self) -> int:
        (count,) = self.one("SELECT count(*) FROM bookings WHERE released_at IS NULL")
        return int(str(count))


def report(
    key: AttemptKey, state: AttemptState | str = AttemptState.RUNNING, **fields: object
) -> AttemptReport:
    """What an agent says of an attempt."""
    return AttemptReport(key=key, state=AttemptState(state)).model_copy(update=fields)


def _why() -> Reason:
    return Reason(code=ReasonCode.PLACED, text="only node")
