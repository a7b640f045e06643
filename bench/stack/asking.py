"""Beside part e: how long the answers to two questions take while a long queue waits: a plan, and an explanation of a run."""

import json
import time
from collections.abc import Mapping
from statistics import quantiles
from typing import Final

import httpx
import psycopg

from bench.measure import BenchFailed
from bench.stack.load import Outcome
from bench.stack.serving import Servers, Service
from nodewise.api.examples import PARAMETERS, PIPELINE

FEWEST: Final = 2
"""So many times each is asked at least, however long that takes."""
MOST: Final = 200
_PATIENCE_SECONDS: Final = 300.0


def asked(found: Servers, api: Service, *, seconds: float) -> Mapping[str, Outcome]:
    """Each question again and again, by one who waits for the answer, for so long.

    Explained are the run that was submitted first, which is looked at in each look of the scheduler, and one from the middle.
    """
    first, middle = _runs(found)
    body = json.dumps({"pipeline_spec": PIPELINE, "parameters": PARAMETERS}).encode()
    with httpx.Client(base_url=f"http://127.0.0.1:{api.port}", timeout=_PATIENCE_SECONDS) as client:
        headers = {"content-type": "application/json"}
        questions = {
            "plan": client.build_request("POST", "/v1/plans", content=body, headers=headers),
            "explain, the first run": client.build_request("GET", f"/v1/runs/{first}/explain"),
            "explain, one from the middle": client.build_request("GET", f"/v1/runs/{middle}/explain"),
        }
        return {name: _timed(client, request, seconds=seconds) for name, request in questions.items()}


def _timed(client: httpx.Client, request: httpx.Request, *, seconds: float) -> Outcome:
    _ask(client, request)  # The first has to connect, and to learn what is believed.
    taken, start = list[float](), time.perf_counter()
    while len(taken) < FEWEST or (len(taken) < MOST and time.perf_counter() < start + seconds):
        before = time.perf_counter()
        _ask(client, request)
        taken.append(time.perf_counter() - before)
    hundredths = quantiles(taken, n=100, method="inclusive")
    return Outcome(
        rate=len(taken) / sum(taken),
        p50_ms=1000 * hundredths[49],
        p99_ms=1000 * hundredths[98],
        answers=len(taken),
    )


def _ask(client: httpx.Client, request: httpx.Request) -> None:
    answer = client.send(request)
    if not answer.is_success:
        raise BenchFailed(f"{request.url.path}: {answer.status_code} {answer.text[:300]}")


def _runs(found: Servers) -> tuple[str, str]:
    """The first of the runs that wait, and the one in the middle."""
    statement = (
        "SELECT id FROM runs WHERE state = 'PENDING' ORDER BY submitted_at, id "
        "OFFSET (SELECT count(*) FROM runs WHERE state = 'PENDING') * %s / 2 LIMIT 1"
    )
    with psycopg.connect(found.settings.database_url) as connection:
        first, middle = (connection.execute(statement, (place,)).fetchone() for place in (0, 1))
    if first is None or middle is None:
        raise BenchFailed("no run waits")
    return str(first[0]), str(middle[0])
