"""`make bench-placement`: how good plans are, against proofs, bounds and other people's schedulers."""

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import ModuleType

from bench.listing import listing
from bench.measure import RESULTS, save
from bench.placement import adversary, cost, on_streams, optimum, recipes, wrong_estimates
from bench.placement.checked import InvalidPlan, Result
from bench.placement.contenders import Job
from bench.placement.peers import NoPeers, versions
from bench.placement.report import Report, say
from bench.placement.scale import Scale, full, quick
from bench.placement.shelf import resume_from
from bench.placement.targets import Target, missed


def parts() -> Mapping[str, Callable[[Scale], Report]]:
    """All parts by letter. Two of them share what they find about the same streams."""
    known: dict[Job, Result] = {}
    return {
        "a": optimum.run,
        "b": recipes.run,
        "c": partial(on_streams.run, known=known),
        "d": partial(wrong_estimates.run, known=known),
        "e": cost.run,
        "f": adversary.run,
    }


MODULES: Mapping[str, ModuleType] = {
    "a": optimum,
    "b": recipes,
    "c": on_streams,
    "d": wrong_estimates,
    "e": cost,
    "f": adversary,
}
LETTERS = tuple(MODULES)
WITH_PEERS = {"a", "b"}
PACKAGES = ("nodewise-core", "nodewise-planning", "nodewise-simulator", "numpy", "ortools", "scipy")


def main(arguments: Sequence[str]) -> int:
    options = _options(arguments)
    if options.resume:
        resume_from(RESULTS / "kept")
    scale = (quick if options.quick else full)(options.seed)
    chosen, runs = options.parts or list(LETTERS), parts()
    command = " ".join(["python -m bench.placement", *arguments])
    try:
        others = versions() if WITH_PEERS & set(chosen) else {}
        targets: list[Target] = []
        for part in chosen:
            found = partial(runs[part], scale)
            targets += _run(part, found, seed=scale.seed, command=command, others=others)
    except (NoPeers, InvalidPlan) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return _verdict(targets, binding=not options.no_targets)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.placement",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"parts:\n{listing(MODULES)}",
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help="a to f; none: all of them")
    parser.add_argument("--quick", action="store_true", help="small versions, to see that everything works")
    parser.add_argument(
        "--resume",
        action="store_true",
        help="go on where an interrupted run of the same code was; keep what is found",
    )
    parser.add_argument("--seed", type=int, default=0, help="the first seed of all (default: 0)")
    parser.add_argument(
        "--no-targets", action="store_true", help="print which targets are met, but end well in any case"
    )
    options = parser.parse_args(arguments)
    if unknown := [part for part in options.parts if part not in LETTERS]:
        parser.error(f"no part named {', '.join(unknown)}; known: {', '.join(LETTERS)}")
    return options


def _run(
    part: str, found: Callable[[], Report], *, seed: int, command: str, others: Mapping[str, str]
) -> tuple[Target, ...]:
    start = time.perf_counter()
    report = found()
    taken = time.perf_counter() - start
    figures = report.figures | {
        "first_seed": seed,
        "seconds_taken": round(taken, 1),
        "targets": {target.what: [target.value, target.limit, target.met] for target in report.targets},
    }
    path = save(f"placement_{part}", figures, command=command, packages=PACKAGES, others=others)
    say(f"part {part} took {taken:.0f} s; figures: {path.name}")
    return report.targets


def _verdict(targets: Sequence[Target], *, binding: bool) -> int:
    say("")
    for target in targets:
        say(target.line())
    gone = missed(targets)
    say(f"{len(targets) - len(gone)} of {len(targets)} targets met")
    return 1 if gone and binding else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
