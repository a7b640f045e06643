"""Part a: submissions accepted and committed per second, beside a bare FastAPI that writes one row for each.

Both on the same Postgres with durable commits, one process each, sent to from this process over open connections, in turns.
Latency is measured at half of each one's own full speed, from when a request was due.
"""

import json
from collections.abc import Mapping
from statistics import median

from bench.measure import save
from bench.stack.load import Outcome, Target, at_full_speed, at_rate
from bench.stack.report import Target as Goal
from bench.stack.report import judge, show
from bench.stack.serving import servers, serving
from nodewise.api.examples import PARAMETERS, PIPELINE

CONNECTIONS = 16
SECONDS = 5.0
ROUNDS = 3
BODY = json.dumps({"pipeline_spec": PIPELINE, "parameters": PARAMETERS}).encode()
LEAST_SHARE = 0.6
MOST_P99_MS = 50.0


def run() -> None:
    """Measure, print, save, judge."""
    with (
        servers() as found,
        serving(["-P", "-m", "nodewise.api"], found.env) as ours,
        serving(
            ["-m", "uvicorn", "bench.stack.bare:app", "--port", "{port}", "--log-level", "warning"], found.env
        ) as bare,
    ):
        ports = {"nodewise": ours, "bare FastAPI + INSERT": bare}
        targets = {name: Target(port=port, path="/v1/runs", content=BODY) for name, port in ports.items()}
        full = _full_speed(targets)
        half = {
            name: at_rate(target, full[name].rate / 2, connections=CONNECTIONS, seconds=SECONDS)
            for name, target in targets.items()
        }
    _report(full, half)


def _full_speed(targets: Mapping[str, Target]) -> dict[str, Outcome]:
    """The median round of each; they take turns, so that both meet the same machine. The first round warms up."""
    rounds = [
        {
            name: at_full_speed(target, connections=CONNECTIONS, seconds=SECONDS)
            for name, target in targets.items()
        }
        for _ in range(ROUNDS + 1)
    ][1:]
    middle = {name: median(each[name].rate for each in rounds) for name in targets}
    return {name: next(each[name] for each in rounds if each[name].rate == middle[name]) for name in targets}


def _report(full: Mapping[str, Outcome], half: Mapping[str, Outcome]) -> None:
    rows = [
        (name, f"{full[name].rate:,.0f}", f"{full[name].p50_ms:.1f}", f"{full[name].p99_ms:.1f}", f"{half[name].p50_ms:.1f}",
         f"{half[name].p99_ms:.1f}")
        for name in full
    ]  # fmt: skip
    headings = ("who", "submissions / s", "p50 ms", "p99 ms", "p50 ms at half", "p99 ms at half")
    show(f"a. submissions of one task each, {CONNECTIONS} connections, one process", headings, rows)
    ours, bare = full.values()
    goals = (
        Goal(
            what="submissions / s over the bare INSERT's", value=ours.rate / bare.rate, at_least=LEAST_SHARE
        ),
        Goal(what="p99 at half load, ms", value=half["nodewise"].p99_ms, at_most=MOST_P99_MS),
    )
    save(
        "stack_submitting",
        {"full": full, "half": half, "targets": goals},
        command="python -m bench.stack submitting",
    )
    judge(goals)
