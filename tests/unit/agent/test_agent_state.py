"""The agent's state: examples, and a state machine that checks what must always hold."""

from datetime import UTC, datetime

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from nodewise.agent.state import (
    REMEMBERED_KEYS,
    AgentState,
    AttemptEnded,
    Beat,
    CancelRequested,
    Event,
    ForgetRequested,
    Instruction,
    Launch,
    LeaveRequested,
    ProcessStarted,
    Remove,
    StartRequested,
    Stop,
)
from nodewise.core.lifecycle import AttemptState
from nodewise.core.messages import AttemptReport, JobRef
from nodewise.core.model.ids import AttemptKey, RunId, TaskPath
from tests.support.examples import examples

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def key(path: str = "a", attempt: int = 1) -> AttemptKey:
    return AttemptKey(run_id=RunId("r"), path=TaskPath(path), attempt=attempt)


def start(key: AttemptKey) -> StartRequested:
    return StartRequested(job=JobRef(key=key, job_uri="store://x", dispatched_at=NOW))


def ended(key: AttemptKey, state: AttemptState = AttemptState.SUCCEEDED) -> AttemptEnded:
    return AttemptEnded(report=AttemptReport(key=key, state=state))


def cancel(key: AttemptKey) -> CancelRequested:
    return CancelRequested(key=key, at=NOW)


def after(*events: Event) -> AgentState:
    state = AgentState()
    for event in events:
        state.handle(event)
    return state


def kinds(instructions: object) -> list[type]:
    return [type(instruction) for instruction in instructions]  # type: ignore[attr-defined]


def states(state: AgentState) -> dict[AttemptKey, AttemptState]:
    return {report.key: report.state for report in state.reports}


def test_an_accepted_job_is_launched_and_reported_as_placed() -> None:
    state = AgentState()
    launch, beat = state.handle(start(key()))
    assert isinstance(launch, Launch)
    assert beat == Beat(soon=True)
    assert states(state) == {key(): AttemptState.PLACED}


def test_a_started_process_is_reported_as_running() -> None:
    state = after(start(key()))
    assert state.handle(ProcessStarted(key=key(), at=NOW)) == (Beat(soon=True),)
    assert state.reports[0].started_at == NOW


def test_an_end_is_reported_until_it_is_forgotten() -> None:
    state = after(start(key()))
    assert state.handle(ended(key())) == (Beat(),)
    assert states(state) == {key(): AttemptState.SUCCEEDED}
    assert kinds(state.handle(ForgetRequested(key=key()))) == [Remove]
    assert state.reports == ()


def test_duplicates_do_nothing_whatever_became_of_the_first() -> None:
    running = after(start(key()), ProcessStarted(key=key(), at=NOW))
    finished = after(start(key()), ended(key()))
    forgotten = after(start(key()), ended(key()), ForgetRequested(key=key()))
    for state in (after(start(key())), running, finished, forgotten):
        assert state.handle(start(key())) == ()


def test_an_attempt_that_was_forgotten_before_it_came_does_not_start() -> None:
    assert after(ForgetRequested(key=key())).handle(start(key())) == ()


def test_a_lower_attempt_is_ignored_even_when_the_higher_is_forgotten() -> None:
    live = after(start(key(attempt=2)))
    forgotten = after(start(key(attempt=2)), ended(key(attempt=2)), ForgetRequested(key=key(attempt=2)))
    for state in (live, forgotten):
        assert state.handle(start(key(attempt=1))) == ()


def test_a_higher_attempt_waits_for_the_end_of_the_older() -> None:
    state = after(start(key(attempt=1)))
    assert state.handle(start(key(attempt=2))) == (Stop(key=key(attempt=1)), Beat())
    assert states(state)[key(attempt=2)] is AttemptState.PLACED
    assert Launch in kinds(state.handle(ended(key(attempt=1), AttemptState.CANCELED)))


def test_of_several_that_wait_only_the_highest_starts() -> None:
    state = after(start(key(attempt=1)), start(key(attempt=2)), start(key(attempt=3)))
    instructions = state.handle(ended(key(attempt=1), AttemptState.CANCELED))
    assert [i.job.key for i in instructions if isinstance(i, Launch)] == [key(attempt=3)]
    assert states(state)[key(attempt=2)] is AttemptState.CANCELED


def test_cancelling_stops_what_runs_and_keeps_what_ended() -> None:
    assert after(start(key())).handle(cancel(key())) == (Stop(key=key()),)
    assert after(start(key()), ended(key())).handle(cancel(key())) == ()


def test_cancelling_what_never_came_is_reported_and_stops_it_from_starting() -> None:
    state = after(cancel(key()))
    assert states(state) == {key(): AttemptState.CANCELED}
    assert state.handle(start(key())) == ()


def test_cancelling_what_waits_ends_it_here() -> None:
    state = after(start(key(attempt=1)), start(key(attempt=2)), cancel(key(attempt=2)))
    assert states(state)[key(attempt=2)] is AttemptState.CANCELED
    assert Launch not in kinds(state.handle(ended(key(attempt=1))))


def test_forgetting_what_runs_ends_it_unheard() -> None:
    state = after(start(key()))
    assert state.handle(ForgetRequested(key=key())) == (Stop(key=key()),)
    assert state.reports == ()
    assert state.handle(ForgetRequested(key=key())) == ()
    assert kinds(state.handle(ended(key(), AttemptState.CANCELED))) == [Remove, Beat]
    assert state.reports == ()


def test_leaving_stops_all_and_lists_only_ends() -> None:
    state = after(start(key("live")), start(key("done")), ended(key("done")))
    assert state.handle(LeaveRequested()) == (Stop(key=key("live")),)
    assert list(states(state)) == [key("done")]
    state.handle(ended(key("live"), AttemptState.CANCELED))
    assert list(states(state)) == [key("done")]
    assert state.handle(start(key("late"))) == ()


def test_forgotten_keys_are_bounded() -> None:
    state = AgentState()
    for number in range(REMEMBERED_KEYS + 1):
        state.handle(ForgetRequested(key=key(str(number))))
    assert state.handle(start(key("0"))) != ()
    assert state.handle(start(key(str(REMEMBERED_KEYS)))) == ()


KEYS = st.builds(key, st.sampled_from("ab"), st.integers(1, 3))


class AgentLife(RuleBasedStateMachine):
    """Any order of messages, against a node that carries the instructions out at its own pace."""

    def __init__(self) -> None:
        super().__init__()
        self.state = AgentState()
        self.processes: set[AttemptKey] = set()
        self.launched: list[AttemptKey] = []
        self.told_to_stop: set[AttemptKey] = set()
        self.left = False

    def carry_out(self, instructions: object) -> None:
        for instruction in instructions:  # type: ignore[attr-defined]
            self.carry_out_one(instruction)

    def carry_out_one(self, instruction: Instruction) -> None:
        match instruction:
            case Launch(job=job):
                assert not self.left
                assert job.key not in self.launched, "started twice"
                assert not [k for k in self.processes if k.task == job.key.task], "two attempts of a task"
                self.processes.add(job.key)
                self.launched.append(job.key)
            case Stop(key=stopped):
                assert stopped in self.processes
                self.told_to_stop.add(stopped)
            case Remove(key=removed):
                assert removed not in self.processes

    @rule(which=KEYS)
    def start(self, which: AttemptKey) -> None:
        self.carry_out(self.state.handle(start(which)))

    @rule(which=KEYS)
    def cancel(self, which: AttemptKey) -> None:
        self.carry_out(self.state.handle(cancel(which)))

    @rule(which=KEYS)
    def forget(self, which: AttemptKey) -> None:
        self.carry_out(self.state.handle(ForgetRequested(key=which)))

    @rule(which=KEYS)
    def process_starts(self, which: AttemptKey) -> None:
        if which in self.processes:
            self.carry_out(self.state.handle(ProcessStarted(key=which, at=NOW)))

    @rule(which=KEYS, end=st.sampled_from([AttemptState.SUCCEEDED, AttemptState.FAILED]))
    def process_ends(self, which: AttemptKey, end: AttemptState) -> None:
        if which in self.processes:
            self.processes.remove(which)
            self.carry_out(self.state.handle(ended(which, end)))

    @rule()
    def leave(self) -> None:
        self.carry_out(self.state.handle(LeaveRequested()))
        self.left = True
        assert self.processes <= self.told_to_stop

    @invariant()
    def what_runs_is_live(self) -> None:
        assert self.processes <= set(self.state.live)

    @invariant()
    def what_is_live_runs_or_waits_for_an_older_one(self) -> None:
        for waiting in set(self.state.live) - self.processes:
            assert any(k.task == waiting.task and k.attempt != waiting.attempt for k in self.processes)


TestAgentLife = AgentLife.TestCase
TestAgentLife.settings = settings(max_examples=examples(100), stateful_step_count=30, deadline=None)
