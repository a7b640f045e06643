"""The life of runs against the real schema, while messages are lost, doubled and reordered and processes die.

Agents are simulated and truthful: what they did, they say, but what they say arrives whenever and however often the
machine likes. Whatever happened, when everybody can speak and hear again, every run reaches its end, and a run that nobody
canceled the end that the interpreter alone would give it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import Engine

from nodewise.core.db.engine import transaction
from nodewise.core.ir import Program, RunFacts, advance, bind, read_program
from nodewise.core.ir.locate import leaf_at
from nodewise.core.lifecycle import LIVE_ATTEMPT_STATES, AttemptState, RunState
from nodewise.core.messages import AttemptReport, Heartbeat
from nodewise.core.model.artifact import TaskOutputs
from nodewise.core.model.ids import AttemptKey, RunId
from nodewise.core.model.task import RetryPolicy
from tests.support.driving import inputs_on_record
from tests.support.dynamic_runs import left_by
from tests.support.examples import examples
from tests.support.pipelines import compiled
from tests.support.recording import TASK_SIZE, World
from tests.support.replaying import broken_lives, interpreted, rows_of
from tests.support.whole_pipelines import FUNCTIONS, documents, program

SHAPES: tuple[Mapping[str, tuple[str, ...]], ...] = (
    {"a": ()},
    {"a": (), "b": ("a",), "c": ("b",)},
    {"a": (), "b": (), "join": ("a", "b")},
    {"a": (), "left": ("a",), "right": ("a",), "end": ("left", "right")},
)
NODES = ("n1", "n2")
SKEWS = {"n1": timedelta(hours=-3), "n2": timedelta(hours=1)}
"""How wrong the nodes' clocks are."""
ROUNDS = 250
"""More than the longest chain, lost ten times with its pauses, needs to end."""


@dataclass
class Agent:
    """A truthful agent: ends survive its death, what ran does not."""

    name: str
    boot: int = 1
    attempts: dict[AttemptKey, AttemptState] = field(default_factory=dict)
    forgotten: set[AttemptKey] = field(default_factory=set)

    def start(self, key: AttemptKey) -> None:
        if key not in self.attempts and key not in self.forgotten:
            self.attempts[key] = AttemptState.PLACED

    def go_on(self, key: AttemptKey, end: AttemptState) -> None:
        state = self.attempts[key]
        if state is AttemptState.PLACED:
            self.attempts[key] = AttemptState.RUNNING
        elif state is AttemptState.RUNNING:
            self.attempts[key] = end

    def cancel(self, key: AttemptKey) -> None:
        if key not in self.forgotten and self.attempts.get(key, AttemptState.PLACED) in LIVE_ATTEMPT_STATES:
            self.attempts[key] = AttemptState.CANCELED

    def forget(self, key: AttemptKey) -> None:
        self.attempts.pop(key, None)
        self.forgotten.add(key)

    def die(self) -> None:
        self.boot += 1
        self.attempts = {
            key: state for key, state in self.attempts.items() if state not in LIVE_ATTEMPT_STATES
        }

    @property
    def live(self) -> list[AttemptKey]:
        return [key for key, state in self.attempts.items() if state in LIVE_ATTEMPT_STATES]


class LifeOfRuns(RuleBasedStateMachine):
    runs = Bundle("runs")

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        with transaction(engine) as connection:
            connection.exec_driver_sql("TRUNCATE runs, pipeline_specs, nodes, runtime_estimates CASCADE")
        self.world = World(engine)
        self.fleet = {name: Agent(name=name) for name in NODES}
        self.starts: list[tuple[str, AttemptKey]] = []
        self.in_flight: list[Heartbeat] = []
        self.programs: dict[RunId, tuple[Program, dict[str, object]]] = {}
        self.left: dict[AttemptKey, TaskOutputs] = {}

    @initialize()
    def join(self) -> None:
        for agent in self.fleet.values():
            self._beat(agent)
        self._deliver_all()

    @rule(target=runs, shape=st.sampled_from(SHAPES), retries=st.integers(0, 2))
    def submit(self, shape: Mapping[str, tuple[str, ...]], retries: int) -> RunId:
        retry = RetryPolicy(max_retries=retries)
        run_id = self.world.submit(shape, retry=retry)
        self.programs[run_id] = (read_program(compiled(tasks=shape, retry=retry)), {})
        return run_id

    @rule(target=runs, n=st.integers(0, 3))
    def submit_one_that_grows(self, n: int) -> RunId:
        """A loop over an output, a condition in it, what is collected from it, and an exit task."""
        ir, _ = documents("guarded-loop")
        run_id = self.world.submit_pipeline(ir, parameters={"n": n}, cache=False)
        self.programs[run_id] = (program("guarded-loop"), {"n": n})
        return run_id

    @rule(node=st.sampled_from(NODES), count=st.integers(1, 3))
    def place(self, node: str, count: int) -> None:
        self._place(node, limit=count)

    @rule(data=st.data())
    def start_arrives(self, data: st.DataObject) -> None:
        """The oldest or any other request to start; it may come again."""
        if self.starts:
            index = data.draw(st.integers(0, len(self.starts) - 1))
            node, key = self.starts[index]
            self.fleet[node].start(key)
            if not data.draw(st.booleans(), label="comes again"):
                del self.starts[index]

    @rule(
        node=st.sampled_from(NODES),
        end=st.sampled_from([AttemptState.SUCCEEDED, AttemptState.SUCCEEDED, AttemptState.FAILED]),
    )
    def work(self, node: str, end: AttemptState) -> None:
        for key in self.fleet[node].live:
            self.fleet[node].go_on(key, end)

    @rule(node=st.sampled_from(NODES))
    def beat(self, node: str) -> None:
        self._beat(self.fleet[node])

    @rule(data=st.data(), again=st.booleans())
    def heartbeat_arrives(self, data: st.DataObject, again: bool) -> None:
        if self.in_flight:
            index = data.draw(st.integers(0, len(self.in_flight) - 1))
            self.world.recorder.on_heartbeat(self.in_flight[index])
            if not again:
                del self.in_flight[index]

    @rule()
    def broker_loses_everything(self) -> None:
        self.in_flight.clear()
        self.starts.clear()
        self.world.agents.canceled.clear()
        self.world.agents.forgotten.clear()

    @rule()
    def agents_are_told(self) -> None:
        self._tell_agents()

    @rule(seconds=st.sampled_from([0.1, 1.0, 4.0, 12.0, 60.0]))
    def time_passes(self, seconds: float) -> None:
        self.world.clock.forward(seconds)

    @rule(ticks=st.integers(1, 12))
    def recorder_ticks(self, ticks: int) -> None:
        for _ in range(ticks):
            self.world.clock.forward(1)
            self.world.recorder.tick()

    @rule()
    def recorder_dies(self) -> None:
        self.world.restart()

    @rule(node=st.sampled_from(NODES))
    def agent_dies(self, node: str) -> None:
        self.fleet[node].die()

    @rule(run_id=runs)
    def cancel(self, run_id: RunId) -> None:
        if self.world.run_state(run_id) not in {RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELED}:
            self.world.request_cancel(run_id)

    @invariant()
    def bookings_are_those_of_live_attempts(self) -> None:
        assert (
            self.world.all("""
            SELECT run_id, path, attempt FROM attempts WHERE state IN ('PLACED', 'RUNNING')
            EXCEPT SELECT run_id, path, attempt FROM bookings WHERE released_at IS NULL""")
            == []
        )
        assert (
            self.world.all("""
            SELECT run_id, path, attempt FROM bookings WHERE released_at IS NULL
            EXCEPT SELECT run_id, path, attempt FROM attempts WHERE state IN ('PLACED', 'RUNNING')""")
            == []
        )
        assert (
            self.world.all("""
            SELECT l.node FROM node_loads AS l WHERE (l.booked_millicores, l.running_tasks) <>
                (SELECT coalesce(sum(millicores), 0), count(*) FROM bookings AS b
                 WHERE b.node = l.node AND b.released_at IS NULL)""")
            == []
        )

    @invariant()
    def a_task_is_where_its_latest_attempt_is(self) -> None:
        assert (
            self.world.all("""
            SELECT t.state, a.state FROM tasks AS t LEFT JOIN attempts AS a
                ON (a.run_id, a.path, a.attempt) = (t.run_id, t.path, t.attempt)
            WHERE (t.state IN ('PLACED', 'RUNNING') OR a.state IN ('PLACED', 'RUNNING'))
              AND t.state IS DISTINCT FROM a.state""")
            == []
        )

    @invariant()
    def a_task_has_one_live_attempt_at_most(self) -> None:
        assert (
            self.world.all("""
            SELECT run_id, path FROM attempts WHERE state IN ('PLACED', 'RUNNING')
            GROUP BY run_id, path HAVING count(*) > 1""")
            == []
        )

    @invariant()
    def nothing_starts_before_its_inputs_are_on_record(self) -> None:
        assert (
            self.world.all("""
            SELECT path, state FROM tasks
            WHERE inputs IS NULL AND (state IN ('READY', 'ADMITTED', 'PLACED', 'RUNNING') OR attempt > 0)""")
            == []
        )

    def teardown(self) -> None:
        self._let_everybody_speak()
        unfinished = self.world.all("SELECT id, state FROM runs WHERE finished_at IS NULL")
        assert unfinished == [], self.world.all("SELECT path, state, attempt, reason FROM tasks")
        assert self.world.open_bookings() == 0
        self._check_times()
        assert broken_lives(self.world) == []
        for run_id in self.programs:
            self._check_outcome(run_id)

    def _check_outcome(self, run_id: RunId) -> None:
        """The interpreter finds nothing more to do, and comes to the same end; from scratch, too, unless somebody canceled."""
        read, given = self.programs[run_id]
        created = self.world.one("SELECT name, submitted_at FROM runs WHERE id = :id", id=run_id)
        text = created[1].isoformat()  # type: ignore[attr-defined]
        facts = RunFacts(name=str(created[0]), run_id=run_id, created=text, scheduled=text)
        rows, parameters, state = rows_of(self.world, run_id), bind(read, given), self.world.run_state(run_id)
        canceled = state is RunState.CANCELED
        end = advance(read, parameters, rows, facts=facts, canceling=canceled)
        assert end.moves == 0
        assert end.outcome is not None
        if not canceled:
            alone, ended = interpreted(read, parameters, rows, facts=facts)
            assert (ended.outcome, {path: row.state for path, row in alone.items()}) == (
                state,
                {path: row.state for path, row in rows.items()},
            )

    def _let_everybody_speak(self) -> None:
        for _ in range(ROUNDS):
            if not self.world.all("SELECT 1 FROM runs WHERE finished_at IS NULL LIMIT 1"):
                return
            self._place("n1", limit=100)
            self._dispatch_again()
            for agent in self.fleet.values():
                for key in agent.live:
                    agent.go_on(key, AttemptState.SUCCEEDED)
                self._beat(agent)
            self._deliver_all()
            self.world.clock.forward(1)
            self.world.recorder.tick()
            self._tell_agents()

    def _dispatch_again(self) -> None:
        """What no agent accepted is sent again, as placers do."""
        rows = self.world.all(
            "SELECT node, run_id, path, attempt FROM attempts WHERE state = 'PLACED' AND accepted_at IS NULL"
        )
        for node, run_id, path, attempt in rows:
            self.fleet[str(node)].start(_key(run_id, path, attempt))

    def _place(self, node: str, *, limit: int) -> None:
        room = self.world.all(
            """SELECT (l.capacity_millicores - l.booked_millicores) / :size
               FROM node_loads AS l JOIN nodes AS n ON n.name = l.node
               WHERE n.name = :name AND n.state = 'READY'""",
            name=node,
            size=TASK_SIZE.millicores,
        )
        if not room:
            return
        ready = self.world.all(
            """SELECT t.run_id, t.path FROM tasks AS t JOIN runs AS r ON r.id = t.run_id
               WHERE t.state = 'READY' AND (r.cancel_requested_at IS NULL OR t.finaliser)
                 AND (t.not_before IS NULL OR t.not_before <= :now)
               ORDER BY r.submitted_at, t.run_id, t.path LIMIT :limit""",
            now=self.world.clock.now,
            limit=min(limit, int(str(room[0][0]))),
        )
        for run_id, path in ready:
            self.starts.append((node, self.world.place(RunId(str(run_id)), str(path), node)))

    def _beat(self, agent: Agent) -> None:
        at = self.world.clock.now + SKEWS[agent.name]
        reports = [
            AttemptReport(
                key=key, state=state, started_at=at, finished_at=at, outputs=self._outputs(key, state)
            )
            for key, state in agent.attempts.items()
        ]
        self.in_flight.append(
            self.world.heartbeat(*reports, node=agent.name, boot=f"{agent.name}-{agent.boot}")
        )

    def _outputs(self, key: AttemptKey, state: AttemptState) -> TaskOutputs:
        """What the function of a task leaves, from the inputs on record."""
        if state is not AttemptState.SUCCEEDED:
            return TaskOutputs()
        if key not in self.left:
            read, _ = self.programs[key.run_id]
            leaf = leaf_at(read, key.path)
            assert leaf is not None
            inputs = inputs_on_record(self.world, key.run_id, key.path)
            functions = FUNCTIONS if read is program("guarded-loop") else {}
            self.left[key] = left_by(leaf, inputs, path=key.path, functions=functions)
        return self.left[key]

    def _deliver_all(self) -> None:
        for heartbeat in self.in_flight:
            self.world.recorder.on_heartbeat(heartbeat)
        self.in_flight.clear()

    def _tell_agents(self) -> None:
        told = self.world.agents
        nodes = {
            _key(run_id, path, attempt): str(node)
            for run_id, path, attempt, node in self.world.all(
                "SELECT run_id, path, attempt, node FROM attempts"
            )
        }
        for key in told.canceled:
            self.fleet[nodes[key]].cancel(key)
        for key in told.forgotten:
            self.fleet[nodes[key]].forget(key)
        told.canceled.clear()
        told.forgotten.clear()

    def _check_times(self) -> None:
        assert (
            self.world.all("""
            SELECT 1 FROM attempts WHERE started_at < placed_at OR finished_at < coalesce(started_at, placed_at)
               OR finished_at IS NULL""")
            == []
        )
        assert self.world.all("SELECT 1 FROM tasks WHERE started_at < ready_at OR finished_at IS NULL") == []
        assert self.world.all("SELECT 1 FROM runs WHERE started_at < submitted_at") == []


def _key(run_id: object, path: object, attempt: object) -> AttemptKey:
    return AttemptKey(run_id=RunId(str(run_id)), path=str(path), attempt=int(str(attempt)))  # type: ignore[arg-type]


def test_every_run_reaches_its_end_whatever_is_lost_doubled_or_killed(engine: Engine) -> None:
    run_state_machine_as_test(
        lambda: LifeOfRuns(engine),
        settings=settings(
            max_examples=examples(25),
            stateful_step_count=40,
            deadline=None,
            # Shrinking would take minutes on a real database; forty steps can be read as they are.
            phases=[Phase.explicit, Phase.reuse, Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
