"""Runs in .venv-peers: `dask_script.py WORKERS COUNT LENGTH`: seconds until so many chains, submitted at once, have ended.

A local cluster of processes, each with one thread.
"""

import importlib.metadata
import json
import logging
import sys
import time

from distributed import Client, LocalCluster

WARM_UP = 5


def same(x: int) -> int:
    """A step of a chain that does nothing."""
    return x


def seconds(client: Client, count: int, length: int) -> float:
    start = time.perf_counter()
    ends = []
    for number in range(count):
        end = number
        for _ in range(length):
            end = client.submit(same, end, pure=False)
        ends.append(end)
    if (found := client.gather(ends)) != list(range(count)):
        sys.exit(f"chains gave {found}")
    return time.perf_counter() - start


def main(workers: int, count: int, length: int) -> None:
    with (
        LocalCluster(
            n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=None,
            silence_logs=logging.ERROR,
        ) as cluster,
        Client(cluster) as client,
    ):  # fmt: skip
        seconds(client, WARM_UP, length)
        found = seconds(client, count, length)
    versions = {"distributed": importlib.metadata.version("distributed")}
    print(json.dumps({"figures": {"seconds": found}, "versions": versions}))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
