"""Part d: whole pipelines of four tasks in a row that do nothing, per second, submitted at once to four agents.

Beside them, in the same run: as many chains of Celery's with four worker processes on our own kind of broker, and of Dask's on
four worker processes. Theirs keep their processes and hand a number from function to function; each task of ours has a
process of its own, and what it says is in the store before the next one begins.
"""

import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

from bench.measure import save
from bench.stack.peers import PeerResult, ask
from bench.stack.pipelines import CHAIN_LENGTH, compiled
from bench.stack.report import show
from bench.stack.serving import SEED
from bench.stack.whole import Whole, whole_stack
from tests.support.servers import valkey_in
from tests.support.waiting import wait_until

PIPELINES = 60
PEER_PIPELINES = 300
"""Theirs are over too soon otherwise."""
ROUNDS = 3
WORKERS = 4
SENDERS = 4
_SETTLE_SECONDS = 5.0
_PATIENCE_SECONDS = 300.0


def run(pipelines: int = PIPELINES, peer_pipelines: int = PEER_PIPELINES, rounds: int = ROUNDS) -> None:
    """Measure, print, save. There is no target."""
    with whole_stack(agents=WORKERS, settle_seconds=_SETTLE_SECONDS) as found:
        _seconds(found, SENDERS)
        taken = [_seconds(found, pipelines) for _ in range(rounds)]
    peers = _peers(peer_pipelines)
    rates = {"nodewise": pipelines / median(taken)}
    rates |= {
        name: peer_pipelines / peer.figures["seconds"]
        for name, peer in peers.items()
        if peer.figures is not None
    }
    rows = [(name, f"{rate:,.1f}", f"{CHAIN_LENGTH * rate:,.0f}") for name, rate in rates.items()]
    rows += [(name, "left out", "") for name, peer in peers.items() if peer.figures is None]
    show(
        f"d. pipelines of {CHAIN_LENGTH} tasks in a row that do nothing, {WORKERS} agents or worker processes",
        ("who", "pipelines / s", "tasks / s"),
        rows,
    )
    save(
        "stack_chains",
        {
            "seed": SEED,
            "pipelines": pipelines,
            "seconds": taken,
            "pipelines_per_second": rates,
            "peers": peers,
        },
        command="python -m bench.stack chains",
        others={name: number for peer in peers.values() for name, number in peer.versions.items()},
    )


def _seconds(found: Whole, pipelines: int) -> float:
    """From the first submission until all have ended well."""
    spec = compiled("chain")
    bodies = [
        {"pipeline_spec": spec, "parameters": {"n": number}, "cache": False} for number in range(pipelines)
    ]
    start = time.perf_counter()
    with ThreadPoolExecutor(SENDERS) as senders:
        runs = list(senders.map(found.submitted, bodies))
    left = set(runs)

    def over() -> bool:
        # One page is enough: they are the newest.
        page = found.http.get("/v1/runs", params={"limit": min(200, pipelines)}).raise_for_status().json()
        left.difference_update(item["id"] for item in page["items"] if item["finished_at"] is not None)
        return not left

    wait_until(over, _PATIENCE_SECONDS, f"{pipelines} pipelines to end", every=0.1)
    taken = time.perf_counter() - start
    for run_id in runs:
        found.ended(run_id)
    return taken


def _peers(pipelines: int) -> Mapping[str, PeerResult]:
    numbers = (str(pipelines), str(CHAIN_LENGTH))
    with tempfile.TemporaryDirectory(prefix="nodewise-bench-") as name:
        folder = Path(name)
        # The user of a server that root starts must be able to reach its folder.
        folder.chmod(0o755)
        with valkey_in(folder / "valkey") as broker:
            celery = ask("celery_script.py", broker.url(), str(WORKERS), "chains", *numbers, folder=folder)
        return {
            "Celery chain": celery,
            "Dask distributed": ask("dask_script.py", str(WORKERS), *numbers, folder=folder),
        }
