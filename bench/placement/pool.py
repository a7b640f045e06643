"""Independent jobs on all cores."""

import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

_Job = TypeVar("_Job")
_Found = TypeVar("_Found")


def cores() -> int:
    return os.cpu_count() or 1


def each(function: Callable[[_Job], _Found], jobs: Sequence[_Job]) -> list[_Found]:
    """What `function` makes of each job, in their order; both must be importable from a new process.

    Give the longest jobs first: they are begun in order.
    """
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(cores(), mp_context=spawn) as pool:
        futures = [pool.submit(function, job) for job in jobs]
        try:
            return [future.result() for future in futures]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
