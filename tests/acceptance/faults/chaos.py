"""The chaos run: pipelines run, faults come, and afterwards everything that was accepted is done, once, and in order."""

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise
from pathlib import Path
from subprocess import TimeoutExpired
from typing import TypeVar

from sqlalchemy.exc import OperationalError

from nodewise.core.audit import Allowance, Check, Finding
from nodewise.core.db.audits import Scope, audit
from nodewise.core.db.engine import create_database
from nodewise.core.lifecycle import RunState
from nodewise.core.settings import Settings
from nodewise.sdk import Client
from tests.acceptance.faults.breaking import Breaker, SmallDisk, reaching
from tests.acceptance.faults.effects import doubled, traces
from tests.acceptance.faults.kinds import Fault, Kind, blows
from tests.acceptance.faults.record import Record
from tests.acceptance.faults.workload import TASKS, Submitter
from tests.support.stack import RunningStack
from tests.support.starvation import most_waited, waited_for_cpu
from tests.support.waiting import wait_until

_DISK_MIB = 96
_GIVE_UP_SECONDS = 180.0
"""So long after a fault nothing ended: nothing will."""
_DRAIN_SECONDS = 400.0
_BACK_SECONDS = 60.0
_STARTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How long faults come, how many runs are submitted meanwhile at least, and within what work must go on."""

    seed: int
    seconds: float
    runs: int
    limit_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Struck:
    """A fault that came: from when to when, and when the first task after it ended well."""

    fault: Fault
    at: datetime
    healed_at: datetime
    next_end_at: datetime
    starved_seconds: float
    """Of the time since `at`, that for which one process of the stack waited for a CPU: the machine's part."""

    @property
    def stall_seconds(self) -> float:
        return (self.next_end_at - self.healed_at).total_seconds()

    @property
    def went_on(self) -> str:
        return (
            f"a task ended {self.stall_seconds:.1f} s after it was over "
            f"(since it began, a process of the stack waited {self.starved_seconds:.1f} s for a CPU)"
        )


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What came of it; all of `wrong` must be empty."""

    plan: Plan
    began_at: datetime
    struck: list[Struck] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    runs: int = 0
    attempts: dict[str, int] = field(default_factory=dict)
    audited: str = ""
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    overbooked: list[str] = field(default_factory=list)
    other: list[str] = field(default_factory=list)
    longest_gap_seconds: float = 0.0
    executions: int = 0

    def note(self, check: str, text: str) -> None:
        """What an audit found."""
        (self.overbooked if check == Check.WITHIN_CAPACITY else self.other).append(text)

    @property
    def by_kind(self) -> Counter[Kind]:
        return Counter(struck.fault.kind for struck in self.struck)

    @property
    def longest_stall(self) -> Struck | None:
        return max(self.struck, key=lambda struck: struck.stall_seconds, default=None)

    @property
    def wrong(self) -> list[str]:
        worst = self.longest_stall
        slow = []
        if worst is not None and worst.stall_seconds > self.plan.limit_seconds:
            slow = [f"{worst.fault}: {worst.went_on}"]
        return [*self.lost, *self.doubled, *self.overbooked, *self.other, *slow]


Say = Callable[[str], None]
T = TypeVar("T")


@contextmanager
def under_test(folder: Path) -> Iterator[tuple[RunningStack, Breaker]]:
    """A stack with four agents and two placers, whose store can be filled up where mounting is allowed, and a fifth agent
    behind a network that can be cut.
    """
    with SmallDisk.mounted(folder / "disk", mib=_DISK_MIB) as disk:
        store = () if disk is None else ("--store", (disk.folder / "store").as_uri())
        stack = RunningStack(home=folder / "home", agents=4, placers=2, options=store)
        try:
            _start_patiently(stack)
            with reaching(stack, folder) as network:
                breaker = Breaker(stack=stack, network=network, disk=disk)
                try:
                    yield stack, breaker
                finally:
                    breaker.heal_all()
        finally:
            stack.stop()


def _start_patiently(stack: RunningStack) -> None:
    """A machine that is busy with other tests may need more time than a start is given."""
    for _ in range(_STARTS - 1):
        with suppress(AssertionError, TimeoutExpired):
            stack.start()
            return
        stack.stop()
    stack.start()


def run_chaos(plan: Plan, folder: Path, say: Say) -> Outcome:
    """Let it come. Whatever happens, the seed and all faults so far have been said."""
    with under_test(folder) as (stack, breaker):
        outcome = Outcome(plan=plan, began_at=datetime.now(UTC))
        kinds = [kind for kind in Kind if kind is not Kind.DISK_FULL or breaker.disk is not None]
        if breaker.disk is None:
            outcome.left_out.append(f"{Kind.DISK_FULL}: no file system may be mounted here")
        submitter = Submitter(
            url=stack.api_url,
            folder=folder / "runs",
            every_seconds=plan.seconds / plan.runs,
            least_open=6,
            chance=random.Random(plan.seed),
        )
        record = Record(stack.database_url)
        _wait_for_node(stack, "n5")
        submitter.start()
        try:
            with auditing(stack, since=outcome.began_at) as look:
                _Storm(breaker, record, submitter, outcome, say, look).rage(kinds)
            submitter.stop()
            _drain(record, submitter)
            _judge(stack, record, submitter, outcome)
        finally:
            submitter.stop()
            record.close()
        return outcome


def _wait_for_node(stack: RunningStack, name: str) -> None:
    with Client(stack.api_url) as client:
        wait_until(lambda: any(node["name"] == name for node in client.nodes()), 60, f"{name} to join")


@dataclass
class _Storm:
    breaker: Breaker
    record: Record
    submitter: Submitter
    outcome: Outcome
    say: Say
    audit: Callable[[], list[Finding] | None]

    def rage(self, kinds: Sequence[Kind]) -> None:
        """Blow after blow until the time is over; the next comes when work goes on after the last."""
        began = time.monotonic()
        self._wait(lambda: self.record.first_end_after(self.outcome.began_at), "the first task to end")
        for blow in blows(self.outcome.plan.seed, kinds):
            self._idle(blow.pause_seconds)
            if time.monotonic() - began > self.outcome.plan.seconds:
                return
            self._blow(blow.faults)

    def _blow(self, faults: Sequence[Fault]) -> None:
        """Faults that come together are over when the last of them is: before that, nothing may be able to go on."""
        starving = self._starving()
        struck = [self._strike(fault) for fault in faults]
        over_at = max(at for _, at, _ in struck)
        for fault, _, until in sorted(struck, key=lambda one: one[2]):
            self._idle(until - time.monotonic())
            self.breaker.heal(fault)
            over_at = datetime.now(UTC) if fault.seconds else over_at
        end = self._wait(
            lambda: self.record.first_end_after(over_at), f"work after {' and '.join(map(str, faults))}"
        )
        starved = most_waited(starving, self._starving())
        done = [
            Struck(fault=fault, at=at, healed_at=over_at, next_end_at=end, starved_seconds=starved)
            for fault, at, _ in struck
        ]
        self.outcome.struck += done
        self.say(f"           {done[0].went_on}")
        self._look_at_the_record(faults)
        for fault in faults:
            settled = partial(self.breaker.settled, fault)
            self._wait(settled, f"{fault.victim} to be started again")

    def _look_at_the_record(self, faults: Sequence[Fault]) -> None:
        for finding in self._audited():
            text = f"after {' and '.join(map(str, faults))}: {finding}"
            self.say(text)
            self.outcome.note(finding.check, text)

    def _audited(self) -> list[Finding]:
        found: list[list[Finding]] = []

        def done() -> bool:
            findings = self.audit()
            found.extend([] if findings is None else [findings])
            return findings is not None

        self._wait(done, "an audit")
        return found[0]

    def _starving(self) -> Mapping[int, float]:
        return waited_for_cpu(process.id.pid for process in self.breaker.stack.state.processes.values())

    def _strike(self, fault: Fault) -> tuple[Fault, datetime, float]:
        self.breaker.strike(fault)
        now = datetime.now(UTC)
        self.say(f"{(now - self.outcome.began_at).total_seconds():7.1f} s  {fault}")
        return fault, now, time.monotonic() + fault.seconds

    def _idle(self, seconds: float) -> None:
        """Let time pass, and the submitter know what has ended."""
        deadline = time.monotonic() + seconds
        while True:
            ended = self.record.ended()
            if ended is not None:
                self.submitter.ended = ended
            left = deadline - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(0.1, left))

    def _wait(self, look: Callable[[], T | None], what: str) -> T:
        def seen() -> T | None:
            self._idle(0)
            return look()

        found = wait_until(seen, _GIVE_UP_SECONDS, what, every=0.1)
        assert found is not None
        return found


@contextmanager
def auditing(stack: RunningStack, *, since: datetime) -> Iterator[Callable[[], "list[Finding] | None"]]:
    """Looks at the whole record, with no allowance for clocks since there is one; None: the database does not answer."""
    engine = create_database(Settings(database_url=stack.database_url), name="chaos")
    scope = Scope(since=since - timedelta(minutes=5), limit=100_000)

    def look() -> "list[Finding] | None":
        try:
            found = audit(engine, scope, now=datetime.now(UTC), allowance=Allowance(clocks=timedelta(0)))
        except OperationalError:
            return None
        return found.findings

    try:
        yield look
    finally:
        engine.dispose()


def _drain(record: Record, submitter: Submitter) -> None:
    def all_ended() -> bool:
        ended = record.ended()
        return ended is not None and submitter.folders.keys() <= ended

    try:
        wait_until(all_ended, _DRAIN_SECONDS, every=0.25)
    except AssertionError:
        # They are counted, and named.
        return


def _judge(stack: RunningStack, record: Record, submitter: Submitter, outcome: Outcome) -> None:
    states = wait_until(record.states, 60, "the record") or {}
    outcome.runs = len(submitter.folders)
    outcome.lost = [
        f"run {run_id} is {states.get(run_id, 'not on record')}"
        for run_id in submitter.folders
        if states.get(run_id) is not RunState.SUCCEEDED
    ]
    outcome.other += submitter.trouble
    extra = states.keys() - submitter.folders.keys()
    outcome.doubled += [f"run {run_id} is on record, and nobody was told of it" for run_id in extra]
    recorded = record.recorded()
    for run_id, folder in submitter.folders.items():
        found = traces(folder / "effects.jsonl")
        outcome.executions += sum(trace.what == "begins" for trace in found)
        outcome.doubled += [f"run {run_id}: {text}" for text in doubled(found, recorded.get(run_id, {}))]
        if len(recorded.get(run_id, {})) != TASKS:
            outcome.lost.append(f"run {run_id} has {len(recorded.get(run_id, {}))} tasks")
    outcome.attempts = record.counts()
    _audit(stack, outcome)
    outcome.other += _not_back(stack)
    # As long as more was submitted; then the work runs out.
    until = max(one.next_end_at for one in outcome.struck) if outcome.struck else outcome.began_at
    ends = [at for at in record.ends() if at <= until]
    outcome.longest_gap_seconds = max(((b - a).total_seconds() for a, b in pairwise(ends)), default=0.0)


def _not_back(stack: RunningStack) -> list[str]:
    """The nodes that are not used again although nothing is broken any more."""
    with Client(stack.api_url) as client:

        def away() -> list[str]:
            return [node["name"] for node in client.nodes() if node["state"] != "READY"]

        try:
            wait_until(lambda: not away(), _BACK_SECONDS)
        except AssertionError:
            return [f"node {name} did not come back" for name in away()]
        return []


def _audit(stack: RunningStack, outcome: Outcome) -> None:
    with Client(stack.api_url) as client:
        found = client.audit(since=outcome.began_at - timedelta(minutes=5))
    names = ("runs", "tasks", "attempts", "events", "bookings", "nodes")
    outcome.audited = ", ".join(f"{found[name]} {name}" for name in names)
    for finding in found["findings"]:
        outcome.note(finding["check"], f"at the end: {finding}")


def summary(outcome: Outcome) -> str:
    """A table for people."""
    plan, worst = outcome.plan, outcome.longest_stall
    lines = [f"| chaos, seed {plan.seed}, {plan.seconds:.0f} s | |", "|---|---|"]
    lines += [f"| {kind} | {outcome.by_kind[kind]} |" for kind in Kind if outcome.by_kind[kind]]
    lines += [f"| left out: {text} | |" for text in outcome.left_out]
    lost_attempts = outcome.attempts.get("LOST", 0)
    lines += [
        f"| faults in all | {len(outcome.struck)} |",
        f"| runs accepted | {outcome.runs} |",
        f"| task executions, of them given up and repeated | {outcome.executions}, {lost_attempts} |",
        f"| audited | {outcome.audited} |",
        f"| lost | {len(outcome.lost)} |",
        f"| doubled | {len(outcome.doubled)} |",
        f"| overbooked | {len(outcome.overbooked)} |",
        f"| other findings | {len(outcome.other)} |",
        f"| longest stall after a fault was over | {worst.stall_seconds:.1f} s ({worst.fault}; meanwhile a process waited {worst.starved_seconds:.1f} s for a CPU) |"
        if worst
        else "",
        f"| longest time in which no task ended, faults included | {outcome.longest_gap_seconds:.1f} s |",
    ]
    return "\n".join(line for line in lines if line)


def described(outcome: Outcome) -> str:
    """What went wrong, and all that repeats it."""
    began = outcome.began_at
    faults = [
        f"{(one.at - began).total_seconds():7.1f} s  {one.fault}; {one.went_on}" for one in outcome.struck
    ]
    shown = outcome.wrong[:50]
    return "\n".join([f"SEED={outcome.plan.seed}", *faults, *shown, f"({len(outcome.wrong)} in all)"])
