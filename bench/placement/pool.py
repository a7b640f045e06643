"""Independent jobs on all cores."""

import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import TypeVar

from bench.placement.shelf import shelf

_Job = TypeVar("_Job")
_Found = TypeVar("_Found")


def cores() -> int:
    """Those that this process may use, so that `taskset` can keep the others free."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def each(function: Callable[[_Job], _Found], jobs: Sequence[_Job]) -> list[_Found]:
    """What `function` makes of each job, in their order; both must be importable from a new process.

    Give the longest jobs first: they are begun in order. What an earlier run has found is taken from the shelf, if there is one.
    """
    names = [f"{function.__module__}.{function.__qualname__} {job!r}" for job in jobs]
    kept, found = shelf(), dict[int, _Found]()
    if kept is not None:
        found = {k: kept.take(name) for k, name in enumerate(names) if kept.has(name)}  # type: ignore[misc]
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(cores(), mp_context=spawn) as pool:
        futures = {pool.submit(function, job): k for k, job in enumerate(jobs) if k not in found}
        try:
            for future in as_completed(futures):
                k = futures[future]
                found[k] = future.result()
                if kept is not None:
                    kept.put(names[k], found[k])
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [found[k] for k in range(len(jobs))]
