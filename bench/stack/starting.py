"""Part c: from a submission until the first line of its first task runs, on an idle stack.

Beside it, in the same run: a message of Celery's to idle workers on our own kind of broker, and a run of a served flow on
Prefect's local server, as it is by itself and with its runner asking every second. All one at a time, by one clock: each
task says when it runs. Of ours and Celery's the sending counts, of Prefect's the call of `run_deployment`.
"""

import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from statistics import median, quantiles

from bench.measure import save
from bench.stack.peers import PeerResult, ask
from bench.stack.pipelines import compiled
from bench.stack.report import Target, judge, show
from bench.stack.serving import SEED
from bench.stack.whole import Whole, whole_stack
from nodewise.stack.ports import choose_ports
from tests.support.servers import valkey_in

TIMES = 40
PREFECT_TIMES = 30
WARM_UP = 3
AGENTS = 4
WORKERS = 2
MOST_MS = 150.0
_SETTLE_SECONDS = 5.0


def run(times: int = TIMES, prefect_times: int = PREFECT_TIMES) -> None:
    """Measure, print, save, judge."""
    with whole_stack(agents=AGENTS, settle_seconds=_SETTLE_SECONDS) as found:
        ours = _ours(found, times)
    peers = _peers(times, prefect_times)
    taken = {"nodewise": ours["started_ms"]}
    taken |= {name: peer.figures["started_ms"] for name, peer in peers.items() if peer.figures is not None}
    rows = [(name, *_cells(milliseconds)) for name, milliseconds in taken.items()]
    rows += [(name, "left out", "", "", "") for name, peer in peers.items() if peer.figures is None]
    headings = ("who", "times", "median ms", "least ms", "90 of 100 ms")
    show("c. from the submission until the first task runs, one at a time", headings, rows)
    targets = (
        Target(what="median until the first task runs, ms", value=median(taken["nodewise"]), at_most=MOST_MS),
    )
    save(
        "stack_starting",
        {"seed": SEED, "nodewise": ours, "peers": peers, "targets": targets},
        command="python -m bench.stack starting",
        others={name: number for peer in peers.values() for name, number in peer.versions.items()},
    )
    judge(targets)


def _ours(found: Whole, times: int) -> Mapping[str, Sequence[float]]:
    """Milliseconds until the task ran, and of them until the submission was answered."""
    body = {"pipeline_spec": compiled("moment"), "cache": False}
    rng, started, answered = Random(SEED), [], []
    for _ in range(WARM_UP + times):
        # Ticks come at even distances.
        time.sleep(0.5 + rng.random())
        sent = time.time()
        run_id = found.submitted(body)
        answered.append(1000 * (time.time() - sent))
        began = found.ended(run_id)["outputs"]["parameters"]["Output"]
        started.append(1000 * (float(began) - sent))
    return {"started_ms": started[WARM_UP:], "answered_ms": answered[WARM_UP:]}


def _peers(times: int, prefect_times: int) -> Mapping[str, PeerResult]:
    with tempfile.TemporaryDirectory(prefix="nodewise-bench-") as name:
        folder = Path(name)
        # The user of a server that root starts must be able to reach its folder.
        folder.chmod(0o755)
        with valkey_in(folder / "valkey") as broker:
            celery = ask(
                "celery_script.py", broker.url(), str(WORKERS), "starting", str(times), folder=folder
            )
        found = {"Celery, a bare message": celery}
        if prefect_times:
            for title, poll in {"Prefect": "0", "Prefect, asking every second": "1"}.items():
                port = choose_ports(["prefect"], {})["prefect"]
                found[title] = ask(
                    "prefect_script.py", str(prefect_times), str(port), poll, folder=folder, seconds=1200
                )
    return found


def _cells(milliseconds: Sequence[float]) -> tuple[str, ...]:
    tenths = quantiles(milliseconds, n=10) if len(milliseconds) > 1 else [milliseconds[0]] * 9
    figures = (median(milliseconds), min(milliseconds), tenths[8])
    return (str(len(milliseconds)), *(f"{figure:,.1f}" for figure in figures))
