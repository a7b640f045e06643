"""Compiling a pipeline with our SDK, beside the same pipeline written with KFP's, with the same limits on each task."""

import warnings
from functools import partial

from rich.console import Console
from rich.table import Table

from bench.measure import growth, save, seconds

SIZES = (25, 50, 100)
"""Tasks."""


def run() -> None:
    """Measure, print, save. Both have compiled once before, so that no import is part of it."""
    warnings.simplefilter("ignore")
    from bench import compiling_pipelines as pipelines  # noqa: PLC0415 - takes seconds to import

    compilers = {"nodewise": pipelines.ours, "kfp": pipelines.kfps}
    for compile_it in compilers.values():
        assert len(compile_it(2)["root"]["dag"]["tasks"]) == 2  # noqa: S101
    times = {
        name: {size: seconds(partial(compile_it, size)) for size in SIZES}
        for name, compile_it in compilers.items()
    }
    grown = {name: growth(SIZES, list(found.values())) for name, found in times.items()}
    table = Table("tasks", *times, title="compiling: seconds")
    for size in SIZES:
        table.add_row(str(size), *(f"{found[size]:.3f}" for found in times.values()))
    table.add_row("grows as tasks to the power of", *(f"{power:.2f}" for power in grown.values()))
    Console().print(table)
    path = save(
        "compiling", {"seconds": times, "growth": grown}, packages=("nodewise-sdk", "nodewise-core", "kfp")
    )
    print(f"figures: {path.name}")
