"""Runs the benchmarks named on the command line, or all of them."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from types import ModuleType

from bench import compiling, engine, kubeflow, placing, waking
from bench.listing import listing
from bench.measure import BenchFailed

BENCHMARKS: Mapping[str, ModuleType] = {
    "compiling": compiling,
    "engine": engine,
    "placing": placing,
    "kubeflow": kubeflow,
    "waking": waking,
}


def main(arguments: Sequence[str]) -> int:
    failed = False
    for name in _names(arguments) or BENCHMARKS:
        try:
            BENCHMARKS[name].run()
        except BenchFailed as error:
            print(f"FAILED {name}: {error}", file=sys.stderr)
            failed = True
    return int(failed)


def _names(arguments: Sequence[str]) -> list[str]:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"benchmarks:\n{listing(BENCHMARKS)}\n\nHow good plans are, and how fast the running stack is, have commands of their own: python -m bench.placement --help, "
        "python -m bench.stack --help",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="a benchmark; none: all of them")
    names: list[str] = parser.parse_args(arguments).names
    if unknown := [name for name in names if name not in BENCHMARKS]:
        parser.error(f"no benchmark named {', '.join(unknown)}; known: {', '.join(BENCHMARKS)}")
    return names


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
