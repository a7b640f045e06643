"""`python -m tests.fuzzing --count 10000 --seed 1`: a stack of its own, attacked; exits 1 if anything was not refused."""

import argparse
import sys
import tempfile
from pathlib import Path

from nodewise.api.examples import PARAMETERS, PIPELINE
from tests.fuzzing.campaign import Account, attack
from tests.fuzzing.malformed import malformed
from tests.support.stack import HEADERS, RunningStack

MOST_GROWN_MIB = 32.0


def fuzzed(stack: RunningStack, *, count: int, seed: int) -> Account:
    """The account of so many malformed submissions to the gateway of a running stack."""
    valid = {"pipeline_spec": PIPELINE, "parameters": dict(PARAMETERS)}
    requests = malformed(valid, seed=seed, count=count)
    return attack(stack.api_url, requests, count=count, gateway=stack.pid("api"), headers=HEADERS)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzzing", description="Malformed submissions to a running gateway."
    )
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="nodewise-fuzz-") as folder:
        stack = RunningStack(home=Path(folder) / "home", agents=1).start()
        try:
            account = fuzzed(stack, count=asked.count, seed=asked.seed)
        finally:
            stack.stop()
    print(account)
    return 1 if account.wrong or account.grown_mib > MOST_GROWN_MIB else 0


if __name__ == "__main__":
    sys.exit(main())
