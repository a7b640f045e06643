"""`python -m tests.acceptance.faults --seed 1 --minutes 10`: what `make chaos` runs."""

import argparse
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path

from tests.acceptance.faults.chaos import Plan, described, run_chaos, summary

_RUNS_PER_MINUTE = 30


def main() -> int:
    """0 where nothing is wrong; else the seed and what repeats it."""
    parser = argparse.ArgumentParser(prog="chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=None, help="of all faults; by default from the time")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument(
        "--limit", type=float, default=10.0, help="seconds until work must go on after a fault"
    )
    parser.add_argument("--keep", type=Path, default=None, help="a new folder for logs and data, which stays")
    given = parser.parse_args()
    seed = int(time.time()) if given.seed is None else given.seed
    plan = Plan(
        seed=seed,
        seconds=60 * given.minutes,
        runs=max(1, round(_RUNS_PER_MINUTE * given.minutes)),
        limit_seconds=given.limit,
    )
    print(f"SEED={seed} MINUTES={given.minutes:g}", flush=True)
    # Not below a folder that only one user may enter: the embedded Postgres runs as another where we are root.
    with (
        nullcontext(given.keep)
        if given.keep
        else tempfile.TemporaryDirectory(prefix="nodewise-chaos-") as name
    ):
        folder = Path(name)
        folder.mkdir(exist_ok=True, parents=True)
        folder.chmod(0o755)
        outcome = run_chaos(plan, folder, lambda line: print(line, flush=True))
    print(summary(outcome))
    if outcome.wrong:
        print(described(outcome))
    return 1 if outcome.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
