"""Part e: 100,000 queued runs: how long a look of the scheduler takes, what memory that needs, how fast lists are.

The rows are copies of one submission that the gateway took. Scheduler, placer and gateway are processes as in production,
on Postgres with durable commits. Four nodes are rows with room for eight tasks each; between two looks this process ends
what was placed, as the recorder would, so that each look has somebody to admit. Lists are asked for at a steady rate: while
nothing else runs, and while the scheduler and the placer do. Plans and explanations (see `asking`) one after another, while
nothing else runs.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from urllib.parse import quote

import psycopg
import redis
from sqlalchemy import Engine

from bench.measure import save
from bench.stack.asking import asked
from bench.stack.copies import copy, put_aside, submitted
from bench.stack.load import Outcome, at_rate
from bench.stack.load import Target as Request
from bench.stack.report import Target, judge, show
from bench.stack.serving import SEED, Servers, Service, gateway, placer, scheduler, servers
from nodewise.api.examples import PARAMETERS, PIPELINE
from nodewise.api.paging import encode_cursor
from nodewise.core.db.engine import create_database, transaction
from nodewise.core.messages import WAKE_SCHEDULER
from nodewise.core.messaging.wake import Waker
from nodewise.core.model.ids import RunId
from nodewise.core.model.resources import Resources
from tests.support.placing import finish_placed
from tests.support.rows import insert_node
from tests.support.waiting import wait_until

RUNS = 100_000
PRESETS = ("balanced", "fifo_greedy")
"""What is taken where nobody asks for something else, which plans whole runs; and what takes tasks one by one."""
LOOKS = 5
NODES = 4
TASKS_A_NODE = 8
ASKED_PER_SECOND = 20.0
SECONDS = 6.0
MOST_LOOK_SECONDS = 1.0
MOST_PAGE_MS = 50.0
MOST_PLAN_MS = 2000.0
MOST_EXPLAIN_MS = 500.0
_PATIENCE_SECONDS = 300.0

VARIETY = {
    "name": "'run ' || copy.number",
    "team": "'team-' || copy.number % 10",
    "labels": "jsonb_build_object('wave', (copy.number % 1000)::text)",
    "priority": "(copy.number % 5)::int",
}
"""What distinguishes the copies: columns of `runs` as SQL."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Looks:
    """Of the scheduler with a preset: the first look at all runs, those after it, and the memory after them.

    Where no look ended in time, the first is that time and there are no others.
    """

    preset: str
    first_seconds: float
    seconds: Sequence[float] = ()
    scheduler_mb: float = 0.0
    api_mb: float = 0.0

    @property
    def judged_seconds(self) -> float:
        return median(self.seconds or [self.first_seconds])

    def cells(self) -> tuple[str, ...]:
        if not self.seconds:
            return (self.preset, f"none in {self.first_seconds:.0f}", "", "", "", "")
        figures = (self.first_seconds, self.judged_seconds, max(self.seconds))
        return (
            self.preset, *(f"{figure:.2f}" for figure in figures), f"{self.scheduler_mb:.0f}", f"{self.api_mb:.0f}",
        )  # fmt: skip


def run(runs: int = RUNS, looks: int = LOOKS, seconds: float = SECONDS) -> None:
    """Measure, print, save, judge."""
    found: list[Looks] = []
    pages: dict[str, Mapping[str, Outcome]] = {}
    answers: dict[str, Outcome] = {}
    with servers() as base:
        for number, preset in enumerate(PRESETS):
            with _filled(base.afresh(), runs, preset) as (here, api):
                if number == 0:
                    pages["alone"] = _pages(here, api, runs=runs, seconds=seconds)
                    answers.update(asked(here, api, seconds=seconds))
                with scheduler(here.env, ready="/healthz") as service, placer("placer-1", here.env):
                    found.append(_looks(here, service, api, preset=preset, looks=looks))
                    if number == 0:
                        pages["with scheduler"] = _pages(here, api, runs=runs, seconds=seconds)
    _report(runs, found, pages, answers)


@contextmanager
def _filled(found: Servers, runs: int, preset: str) -> Iterator[tuple[Servers, Service]]:
    """A database with so many queued runs, and its gateway."""
    with gateway(found.env) as api:
        body = {"pipeline_spec": PIPELINE, "parameters": PARAMETERS, "strategy": preset, "cache": False}
        run_id = submitted(api, body)
        with psycopg.connect(found.settings.database_url) as connection:
            put_aside(connection, run_id)
            copy(connection, runs - 1, changes=VARIETY)
            connection.commit()
            connection.autocommit = True
            connection.execute("VACUUM ANALYZE")
        _add_nodes(found)
        yield found, api


def _add_nodes(found: Servers) -> None:
    with psycopg.connect(found.settings.database_url) as connection:
        ((size,),) = connection.execute(
            "SELECT CAST(spec -> 'resources' ->> 'millicores' AS int) FROM original.tasks"
        ).fetchall()
    engine = create_database(found.settings)
    with transaction(engine) as connection:
        for number in range(NODES):
            insert_node(
                connection, f"n{number}", Resources(millicores=TASKS_A_NODE * size, memory_mib=1 << 20)
            )
    engine.dispose()


def _looks(found: Servers, service: Service, api: Service, *, preset: str, looks: int) -> Looks:
    try:
        wait_until(service.is_ready, _PATIENCE_SECONDS, "the first look that goes well", every=0.1)
    except AssertionError as error:
        print(f"{preset}: {error}")
        return Looks(preset=preset, first_seconds=_PATIENCE_SECONDS)
    first = service.metric("nodewise_cycle_seconds_sum") / service.metric("nodewise_cycle_seconds_count")
    engine = create_database(found.settings)
    with redis.Redis.from_url(found.settings.redis_url) as client:
        taken = [_look(engine, Waker(client), service) for _ in range(looks)]
    engine.dispose()
    return Looks(
        preset=preset,
        first_seconds=first,
        seconds=taken,
        scheduler_mb=service.memory_mb,
        api_mb=api.memory_mb,
    )


def _look(engine: Engine, waker: Waker, service: Service) -> float:
    """Seconds of a look that has room to give away; the mean where there was more than one meanwhile."""
    wait_until(lambda: finish_placed(engine), _PATIENCE_SECONDS, "a task to be placed", every=0.05)
    seconds, count = (service.metric(f"nodewise_cycle_seconds_{kind}") for kind in ("sum", "count"))
    waker.wake(WAKE_SCHEDULER)
    wait_until(
        lambda: service.metric("nodewise_cycle_seconds_count") > count,
        _PATIENCE_SECONDS,
        "a look of the scheduler",
        every=0.1,
    )
    more, counted = (service.metric(f"nodewise_cycle_seconds_{kind}") for kind in ("sum", "count"))
    return (more - seconds) / (counted - count)


def _pages(found: Servers, api: Service, *, runs: int, seconds: float) -> Mapping[str, Outcome]:
    outcomes = {}
    for name, query in _queries(found, runs).items():
        request = Request(port=api.port, path=f"/v1/runs{query}")
        # The first may have to connect or plan.
        at_rate(request, ASKED_PER_SECOND, connections=1, seconds=min(0.3, seconds))
        outcomes[name] = at_rate(request, ASKED_PER_SECOND, connections=2, seconds=seconds)
    return outcomes


def _cursor(found: Servers, runs_before: int) -> str:
    """That of a page with so many runs before it."""
    with psycopg.connect(found.settings.database_url) as connection:
        ((at, run_id),) = connection.execute(
            "SELECT submitted_at, id FROM runs ORDER BY submitted_at DESC, id DESC OFFSET %s LIMIT 1",
            (runs_before,),
        ).fetchall()
    return quote(encode_cursor(at, RunId(str(run_id))))


def _queries(found: Servers, runs: int) -> Mapping[str, str]:
    deep, deepest = _cursor(found, runs // 2), _cursor(found, runs - runs // 100 - 1)
    return {
        "first": "",
        "200 at once": "?limit=200",
        "half way": f"?cursor={deep}",
        "near the end": f"?cursor={deepest}",
        "of a team (1 in 10)": "?team=team-3",
        "of a label (1 in 1,000)": "?label=wave:7",
        "PENDING": "?state=PENDING",
        "SUCCEEDED (none)": "?state=SUCCEEDED",
        "of a team that has none": "?team=nobody",
        "of a team, half way": f"?team=team-3&cursor={deep}",
    }


def _report(
    runs: int,
    found: Sequence[Looks],
    pages: Mapping[str, Mapping[str, Outcome]],
    answers: Mapping[str, Outcome],
) -> None:
    show(
        f"e. looks of the scheduler at {runs:,} queued runs of one task",
        ("preset", "first, s", "median, s", "most, s", "scheduler, MB (PSS)", "api, MB (PSS)"),
        [one.cells() for one in found],
    )
    alone, beside = pages["alone"], pages["with scheduler"]
    show(
        f"   pages of runs, {ASKED_PER_SECOND:g} requests / s, nothing else running | scheduler and placer at work",
        ("page", "p50 ms", "p99 ms", "| p50 ms", "p99 ms"),
        [
            (name, *(f"{ms:.1f}" for one in (alone[name], beside[name]) for ms in (one.p50_ms, one.p99_ms)))
            for name in alone
        ],
    )
    show(
        "   questions, one after another, nothing else running",
        ("question", "p50 ms", "p99 ms", "answers"),
        [(name, f"{one.p50_ms:.0f}", f"{one.p99_ms:.0f}", str(one.answers)) for name, one in answers.items()],
    )
    slowest = {
        kind: max(outcomes.items(), key=lambda item: item[1].p99_ms) for kind, outcomes in pages.items()
    }
    targets = (
        *(Target(what=f"a look of the scheduler with {one.preset}, s", value=one.judged_seconds, at_most=MOST_LOOK_SECONDS)
          for one in found),
        *(Target(what=f"p99 of the slowest page ({name}), {kind}, ms", value=one.p99_ms, at_most=MOST_PAGE_MS)
          for kind, (name, one) in slowest.items()),
        *(Target(what=f"p99 of {name}, ms", value=one.p99_ms, at_most=MOST_PLAN_MS if name == "plan" else MOST_EXPLAIN_MS)
          for name, one in answers.items()),
    )  # fmt: skip
    save(
        "stack_queued",
        {"seed": SEED, "runs": runs, "looks": found, "pages": pages, "answers": answers, "targets": targets},
        command="python -m bench.stack queued",
    )
    judge(targets)
