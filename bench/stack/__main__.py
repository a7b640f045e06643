"""Runs the parts named on the command line, or all of them."""

import argparse
import logging
import sys
from collections.abc import Mapping, Sequence
from types import ModuleType

import structlog

from bench.listing import listing
from bench.measure import BenchFailed
from bench.stack import chains, dispatching, idle, queued, starting, submitting

PARTS: Mapping[str, ModuleType] = {
    "submitting": submitting,
    "dispatching": dispatching,
    "starting": starting,
    "chains": chains,
    "queued": queued,
    "idle": idle,
}


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.stack",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"parts:\n{listing(PARTS)}",
    )
    parser.add_argument(
        "names", nargs="*", metavar="NAME", choices=[[], *PARTS], help="a part; none: all of them"
    )
    # What the code under measurement logs in this process is none of its result.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    failed = False
    for name in parser.parse_args(arguments).names or PARTS:
        try:
            PARTS[name].run()
        except (BenchFailed, AssertionError) as error:
            print(f"FAILED {name}: {error}", file=sys.stderr)
            failed = True
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
