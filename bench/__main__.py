"""Runs the benchmarks named on the command line, or all of them."""

import sys
from collections.abc import Callable, Mapping

from bench import compiling, engine, kubeflow, placing, queue_rate, waking
from bench.measure import BenchFailed

BENCHMARKS: Mapping[str, Callable[[], object]] = {
    "compiling": compiling.run,
    "engine": engine.run,
    "placing": placing.run,
    "queue_rate": queue_rate.run,
    "kubeflow": kubeflow.run,
    "waking": waking.run,
}


def main(names: list[str]) -> int:
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        print(f"no benchmark named {', '.join(unknown)}; known: {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    failed = False
    for name in names or BENCHMARKS:
        try:
            BENCHMARKS[name]()
        except BenchFailed as error:
            print(f"FAILED {name}: {error}", file=sys.stderr)
            failed = True
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
