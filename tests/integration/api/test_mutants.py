"""Compiled pipelines with something wrong in them, through the gateway: each is refused whole, with its place, or runs to an end."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random

import httpx
import pytest
from hypothesis import event, given
from hypothesis import strategies as st
from sqlalchemy import Engine

from nodewise.core.ir import read_program
from nodewise.core.lifecycle import FINAL_RUN_STATES
from nodewise.core.model.ids import RunId
from nodewise.core.model.resources import Resources
from nodewise.core.settings import Settings
from tests.integration.api.conftest import Api, running
from tests.support.driving import Driver
from tests.support.mutants import FUZZ, Mutant, mutant, names_a_place
from tests.support.recording import Clock, World
from tests.support.replaying import broken_lives
from tests.support.rows import counted_rows

MOST_TASKS = 100
MOST_SECONDS = 20
LARGE = Resources(millicores=1_000_000, memory_mib=1_000_000)
JSON = {"content-type": "application/json"}


@dataclass
class Desk:
    """The gateway, a recorder on its tables, and hands that place all tasks and let them end well."""

    api: Api
    world: World
    hands: Driver = field(init=False)

    def __post_init__(self) -> None:
        self.world.hear(capacity=LARGE)
        self.hands = Driver(world=self.world, functions={}, capacity=LARGE)

    def run_to_its_end(self, run_id: RunId, made: Mutant) -> None:
        self.hands.programs[run_id] = read_program(made.ir, made.platforms, max_instances=MOST_TASKS)
        self.hands.run(most=4 * MOST_TASKS)
        assert self.world.run_state(run_id) in FINAL_RUN_STATES, self.world.task_states(run_id)
        assert len(self.world.task_states(run_id)) <= MOST_TASKS


@pytest.fixture
def desk(settings: Settings, engine: Engine) -> Iterator[Desk]:
    # The recorder's clock is ahead of the gateway's, so that nothing ends before it was submitted.
    clock = Clock(now=datetime.now(UTC) + timedelta(minutes=10))
    with running(settings.model_copy(update={"max_tasks_per_run": MOST_TASKS})) as api:
        desk = Desk(api=api, world=World(engine, clock=clock, container_runtime="docker"))
        yield desk
        assert broken_lives(desk.world) == []
        assert desk.world.open_bookings() == 0


def is_refused_with_its_place(answer: httpx.Response) -> None:
    assert 400 <= answer.status_code < 500, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    # What is no JSON has no places; its text says where it stops being some.
    assert names_a_place(problem["errors"]) or problem["type"] == "urn:nodewise:problem:malformed-json", (
        problem
    )


@FUZZ
@given(rng=st.randoms(use_true_random=True))
def test_a_mutant_is_refused_whole_or_runs_to_an_end(desk: Desk, engine: Engine, rng: Random) -> None:
    made = mutant(rng)
    before = counted_rows(engine)
    answer = desk.api.http.post("/v1/runs", content=made.body(), headers=JSON, timeout=MOST_SECONDS)
    for change in made.changes:
        event(change)
    event(f"{answer.status_code}")
    if answer.status_code == 202:
        desk.run_to_its_end(RunId(answer.json()["id"]), made)
        return
    is_refused_with_its_place(answer)
    assert counted_rows(engine) == before


@FUZZ
@given(rng=st.randoms(use_true_random=True))
def test_what_a_plan_is_asked_for_is_refused_as_a_submission_is(
    desk: Desk, engine: Engine, rng: Random
) -> None:
    made = mutant(rng)
    before = counted_rows(engine)
    plan, run = (
        desk.api.http.post(path, content=made.body(), headers=JSON, timeout=MOST_SECONDS)
        for path in ("/v1/plans", "/v1/runs")
    )
    event(f"{plan.status_code} {run.status_code}")
    if plan.status_code == 200:
        assert run.status_code == 202, run.text
        desk.run_to_its_end(RunId(run.json()["id"]), made)
        return
    is_refused_with_its_place(plan)
    assert run.status_code == plan.status_code
    assert run.json()["errors"] == plan.json()["errors"]
    assert counted_rows(engine) == before
