"""Estimates learn through the record: what is predicted of a second time through the waves, against what came."""

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from uuid import uuid4

import pytest
from sqlalchemy import Connection, Engine, text

from nodewise.core.db.engine import transaction
from nodewise.core.db.queries.bookings import BookingRequest, book
from nodewise.core.db.queries.estimates import load_beliefs
from nodewise.core.db.queries.moves import TaskMove, move_tasks
from nodewise.core.db.queries.placements import ClaimedTask, NewAttempt, claim_admitted, insert_attempts
from nodewise.core.db.queries.submissions import NewRun, NewTask, insert_run
from nodewise.core.estimates.forecast import query
from nodewise.core.estimates.learning import Model, fit
from nodewise.core.lifecycle import AttemptState, TaskEvent, TaskState
from nodewise.core.messages import AttemptReport, Heartbeat
from nodewise.core.model.decision import Placement, Reason, ReasonCode
from nodewise.core.model.ids import NodeName, RunId, TaskPath, TaskRef
from nodewise.core.model.node import Node
from nodewise.core.model.resources import Resources
from nodewise.core.model.task import TaskSpec
from tests.support.recording import TASK_SIZE, World
from tests.unit.learning.truth import CLASSES, NODES, RUNS_PER_WAVE, SIZES, Truth, truth
from tests.unit.learning.truth import query as asked

WAVES = 4
"""Of 24 tasks each: six classes, four times each, on four unrelated nodes."""

NODE_OF = {
    name: Node(
        name=NodeName(name),
        node_class=name,
        capacity=Resources(millicores=int(1000 * (facts.cores or 1)), memory_mib=64_000),
        accelerator=facts.accelerator,
    )
    for name, facts in NODES.items()
}
WHY = Reason(code=ReasonCode.PLACED, text="by chance")


@dataclass
class Cluster:
    """Everything but the recorder, done as the api, the scheduler, the placer and the agents do it."""

    world: World
    truth: Truth
    rng: Random
    sequence: int = 0
    tasks: dict[TaskPath, tuple[int, float]] = field(default_factory=dict)
    """Class and size of each task."""

    def run_wave(self) -> RunId:
        """Submit a wave, place it by chance, let it run to its end."""
        self._say({})
        run_id = self._submit()
        with transaction(self.world.engine) as connection:
            claimed = claim_admitted(connection, limit=1000)
            placed = self._place(connection, claimed, fit(load_beliefs(connection)))
        started = self.world.clock.now
        reports: dict[str, list[AttemptReport]] = {}
        for item, node in placed:
            reports.setdefault(node, []).append(self._outcome(item, node, started))
        self.world.clock.forward(1e7)
        self._say(reports)
        return run_id

    def _submit(self) -> RunId:
        run_id, now = RunId(str(uuid4())), self.world.clock.now
        run = NewRun(
            id=run_id, name="wave", pipeline_name="wave", spec_digest=run_id, ir={}, platforms={}, parameters={},
            tasks=[self._new_task(number) for number in range(RUNS_PER_WAVE)], team="default", priority=0, deadline=None,
            policy="fifo", strategy="random", request_digest="", submitted_at=now,
        )  # fmt: skip
        with transaction(self.world.engine) as connection:
            insert_run(connection, run)
            admit = [
                TaskMove(
                    ref=TaskRef(run_id=run_id, path=task.spec.path), state=TaskState.READY, event=TaskEvent.ADMIT,
                    at=now, reason=WHY, position=position,
                )
                for position, task in enumerate(run.tasks)
            ]  # fmt: skip
            move_tasks(connection, admit, service="scheduler")
        return run_id

    def _new_task(self, number: int) -> NewTask:
        path, size = TaskPath(f"task-{number}"), SIZES ** self.rng.random()
        self.tasks[path] = (number % CLASSES, size)
        told = asked(number % CLASSES, "big", size)
        spec = TaskSpec(path=path, component=path, task_class=told.task_class, resources=TASK_SIZE)
        return NewTask(spec=spec, effort_flops=told.effort_flops, input_bytes=told.input_bytes)

    def _place(
        self, connection: Connection, claimed: Sequence[ClaimedTask], model: Model
    ) -> list[tuple[ClaimedTask, str]]:
        now = self.world.clock.now
        placed = [(item, self.rng.choice(list(NODES))) for item in claimed]
        attempts = [
            NewAttempt(
                key=item.key,
                placement=Placement(ref=item.task.ref, node=NodeName(node), reason=WHY),
                node_class=node,
                policy="fifo",
                strategy="random",
                prediction=model.predict(query(item.task.facts, NODE_OF[node])),
                memory=model.predict_memory(query(item.task.facts, NODE_OF[node])),
            )
            for item, node in placed
        ]
        insert_attempts(connection, attempts, placer="test", now=now, lease=timedelta(days=1000))
        place = [
            TaskMove(
                ref=item.task.ref, state=TaskState.ADMITTED, event=TaskEvent.PLACE, at=now, reason=WHY, attempt=1
            )
            for item, _ in placed
        ]  # fmt: skip
        move_tasks(connection, place, service="placer")
        small = Resources(millicores=1, memory_mib=1)
        requests = [
            BookingRequest(key=item.key, node=NodeName(node), resources=small) for item, node in placed
        ]
        assert len(book(connection, requests, at=now)) == len(placed)
        return placed

    def _outcome(self, item: ClaimedTask, node: str, started: datetime) -> AttemptReport:
        number, size = self.tasks[item.key.path]
        seconds = self.truth.seconds(self.rng, number, node, size)
        peak = (50 + 20 * (number + 1) * size) * math.exp(self.rng.gauss(0, 0.05))
        return AttemptReport(
            key=item.key,
            state=AttemptState.SUCCEEDED,
            started_at=started,
            finished_at=started + timedelta(seconds=seconds),
            peak_memory_mib=round(peak),
        )

    def _say(self, reports: dict[str, list[AttemptReport]]) -> None:
        self.sequence += 1
        for name, node in NODE_OF.items():
            self.world.recorder.on_heartbeat(
                Heartbeat(
                    node=node,
                    boot_id="boot",
                    sequence=self.sequence,
                    sent_at=self.world.clock.now,
                    attempts=tuple(reports.get(name, ())),
                )
            )


@pytest.fixture(params=[0.1, 0.15, 0.2])
def second_time(engine: Engine, request: pytest.FixtureRequest) -> Iterator[Connection]:
    """The waves have run twice; the attempts of the first time are told as predicted by nothing."""
    rng = Random(2)
    cluster = Cluster(World(engine), truth(rng, noise=request.param, outliers=0.03), rng)
    first = [cluster.run_wave() for _ in range(WAVES)]
    for _ in range(WAVES):
        cluster.run_wave()
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE attempts SET predicted_seconds = NULL WHERE run_id = ANY(CAST(:first AS uuid[]))"),
            {"first": first},
        )
    with engine.connect() as connection:
        yield connection


def test_the_second_time_through_the_waves_is_predicted_well_and_intervals_hold(
    second_time: Connection,
) -> None:
    row = second_time.execute(text("SELECT * FROM calibration WHERE task_class IS NULL")).one()
    assert row.attempts == WAVES * RUNS_PER_WAVE
    assert row.median_error_share < 0.25
    assert 0.70 <= row.held_share <= 0.90
    assert row.promised_share == pytest.approx(0.8)
    assert row.memory_held_share >= 0.70


def test_every_outcome_is_learned_once_for_its_pair(second_time: Connection) -> None:
    beliefs = load_beliefs(second_time)
    ended = second_time.execute(
        text(
            "SELECT t.task_class, a.node_class, count(*) FROM attempts AS a JOIN tasks AS t USING (run_id, path) "
            "WHERE a.state = 'SUCCEEDED' GROUP BY 1, 2"
        )
    )
    counted = {(task_class, node): number for task_class, node, number in ended}
    assert sum(counted.values()) == 2 * WAVES * RUNS_PER_WAVE
    assert {pair: samples.seen for pair, samples in beliefs.seconds.items()} == counted
    assert {pair: samples.seen for pair, samples in beliefs.memory.items()} == counted


def test_a_larger_input_was_predicted_to_take_longer(second_time: Connection) -> None:
    model = fit(load_beliefs(second_time))
    ratios = [
        model.predict(asked(number, node, 8.0)).median_seconds
        / model.predict(asked(number, node, 1.0)).median_seconds
        for number in range(CLASSES)
        for node in NODES
    ]
    assert min(ratios) > 1.0
    assert statistics.median(ratios) > 2.0
