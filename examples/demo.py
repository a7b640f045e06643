"""Three waves of real ML pipelines through the whole stack: `python -m examples.demo`, or `make demo`.

Starts a stack of its own in `out/.nodewise-demo`, submits 18 pipelines, shows them run, says where and why each task
ran, leaves the report and the exports in `out/`, what the simplest choice would have made of the same runs, and stops
everything it started. Exit code 0 only if all succeeded. With `--twice` the waves run a second time, to see how well
their run times are predicted by then.
"""

import argparse
import csv
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from examples.demo_view import DemoView, print_accuracies, print_savings, print_tasks
from nodewise.core.errors import NodewiseError
from nodewise.sdk.client import Client, Run
from nodewise.sdk.discovery import NoStack, find_key, find_url, read_stack

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "out"
HOME = OUT / ".nodewise-demo"

WAVES = (
    (
        "kddcup99.py:kddcup99_random_forest", "adult_income.py:adult_income_decision_tree",
        "credit_card.py:credit_card_logistic_regression", "mnist.py:mnist_nn",
        "wine_quality.py:wine_quality_decision_tree", "unsw_nb15.py:unsw_nb15_random_forest",
    ),
    (
        "kddcup99.py:kddcup99_svm", "adult_income.py:adult_income_logistic_regression",
        "credit_card.py:credit_card_svm", "cifar10.py:cifar10_nn",
        "wine_quality.py:wine_quality_linear_regression", "unsw_nb15.py:unsw_nb15_nn",
    ),
    (
        "credit_card.py:credit_card_decision_tree", "credit_card.py:credit_card_random_forest",
        "fashion_mnist.py:fashion_mnist_nn", "unsw_nb15.py:unsw_nb15_svm",
        "citrus_leaves.py:citrus_leaves_nn", "breast_cancer.py:breast_cancer_svm",
    ),
)  # fmt: skip
"""What is submitted together."""

_BETWEEN_WAVES_SECONDS = 5.0
_LOOK_SECONDS = 0.7
_PATIENCE_SECONDS = 600.0
_STOP_SECONDS = 30.0
_PRODUCTS = ("report.html", "pipelines.json", "n_pipelines.csv", "predictions.csv")


class DemoFailed(NodewiseError):
    """Something that the demo needs did not work; says what."""


def main(arguments: Sequence[str] = ()) -> int:
    """Run the demo; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m examples.demo", description=__doc__)
    parser.add_argument("--twice", action="store_true", help="run the waves a second time")
    times = 2 if parser.parse_args(arguments).twice else 1
    # A polite kill stops the stack as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    began = time.monotonic()
    try:
        with stack() as environment:
            succeeded = show(environment, times=times)
    except KeyboardInterrupt:
        print("\nInterrupted.")
        return 130
    except (NodewiseError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"\nIn {OUT}: {', '.join(product_names())}. Took {time.monotonic() - began:.0f} s.")
    return 0 if succeeded else 1


@contextmanager
def stack() -> Iterator[Mapping[str, str]]:
    """A fresh stack of the demo's own; yields the environment that leads to it. Always stopped at the end."""
    environment = _environment()
    OUT.mkdir(exist_ok=True)
    if _known_pids():
        _stop(environment)
    shutil.rmtree(HOME, ignore_errors=True)
    for name in _PRODUCTS:
        (OUT / name).unlink(missing_ok=True)
    try:
        _nodewise(environment, "up", "--detach", "--placers", "2")
        yield environment
    finally:
        # Whoever presses Ctrl-C twice still gets a machine without our processes.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        _stop(environment)


def _environment() -> dict[str, str]:
    """Ours, but with servers of the demo's own whatever the user has set."""
    foreign = {"NODEWISE_URL", "DATABASE_URL", "REDIS_URL", "PROMETHEUS_URL", "NODEWISE_STORE_URL"}
    kept = {name: value for name, value in os.environ.items() if name not in foreign}
    return kept | {"NODEWISE_HOME": str(HOME)}


def _nodewise(environment: Mapping[str, str], *arguments: str) -> None:
    """Run the command line as a user would.

    Raises:
        DemoFailed: It ended with another code than 0; it has said why.
    """
    command = [sys.executable, "-m", "nodewise.sdk.cli", *arguments]
    ended = subprocess.run(command, env=dict(environment), check=False)  # noqa: S603 (our own command)
    if ended.returncode != 0:
        raise DemoFailed(f"`nodewise {' '.join(arguments)}` ended with code {ended.returncode}")


def _stop(environment: Mapping[str, str]) -> None:
    """Stop the stack, and make sure that nothing of it is left.

    Raises:
        DemoFailed: Something still runs; says what.
    """
    known = _known_pids()
    _nodewise(environment, "down")
    end = time.monotonic() + _STOP_SECONDS
    while (left := {pid for pid in known if _runs(pid)} | _pids_by_home()) and time.monotonic() < end:
        time.sleep(0.1)
    if left:
        raise DemoFailed(f"these processes are left behind: {', '.join(map(str, sorted(left)))}")
    print("The stack is stopped; no process is left behind.")


def _known_pids() -> set[int]:
    """What the supervisor wrote down."""
    try:
        said = read_stack(HOME)
    except NoStack:
        return set()
    processes = said.get("processes")
    entries = processes.values() if isinstance(processes, dict) else ()
    pids = (said.get("supervisor_pid"), *(entry["pid"] for entry in entries))
    return {pid for pid in pids if isinstance(pid, int)}


def _pids_by_home() -> set[int]:
    """What runs with the demo's home in its environment, tasks too; nothing where there is no /proc."""
    mark = f"NODEWISE_HOME={HOME}\0".encode()
    found = set()
    for file in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if mark in file.read_bytes() + b"\0":
                found.add(int(file.parent.name))
    return found - {os.getpid()}


def _runs(pid: int) -> bool:
    """Whether that process exists and is not a zombie that waits for its parent."""
    try:
        os.kill(pid, 0)
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except ProcessLookupError:
        return False
    except OSError:
        return True


def show(environment: Mapping[str, str], *, times: int) -> bool:
    """Submit the waves so many times, follow them to the end, tell the story of the last time; whether all succeeded."""
    url = find_url(environment=environment)
    with Client(url, api_key=find_key(url, environment=environment)) as client:
        for _ in range(times):
            runs = follow(client)
        print_tasks(runs)
        print_accuracies(runs)
    print(flush=True)
    # Its table of tasks would repeat ours.
    _nodewise(environment, "report", "--no-tasks", "--output", str(OUT / "report.html"))
    _nodewise(environment, "export", str(OUT))
    print_predictions(runs, times=times)
    compare(environment, runs)
    failed = [run for run in runs if not run.succeeded]
    for run in failed:
        print(f"{run.name} ({run.id}) ended {run.state}: {run.info['error'] or 'see its logs'}")
    print(
        f"\n{len(runs) - len(failed)} of {len(runs)} pipelines SUCCEEDED{' the second time' * (times > 1)}."
    )
    return not failed


def print_predictions(runs: list[Run], *, times: int) -> None:
    """How well the run times of these runs were predicted, from the export."""
    ids = {run.id for run in runs}
    with (OUT / "predictions.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["run_id"] in ids and row["absolute_error_share"]]
    if not rows:
        return
    error = statistics.median(float(row["absolute_error_share"]) for row in rows)
    held = sum(row["held"] == "True" for row in rows) / len(rows)
    when = "the second time" if times > 1 else "the first time, when nothing was known at the start"
    print(
        f"\nRun times of these {len(rows)} tasks ({when}) were predicted to within {error:.0%} in the median;"
    )
    print(f"{held:.0%} lay in their 80 % range.")


def compare(environment: Mapping[str, str], runs: list[Run]) -> None:
    """What these runs would have taken with the simplest choice there is, by replaying what was recorded.

    Raises:
        DemoFailed: The replay did not work; it has said why.
    """
    first = min(run.info["submitted_at"] for run in runs)
    asked = ("--from", first, "--policy", "fifo", "--strategy", "round_robin", "--json")
    command = [sys.executable, "-m", "nodewise.sdk.cli", "replay", *asked]
    ended = subprocess.run(command, env=dict(environment), check=False, stdout=subprocess.PIPE)  # noqa: S603 (our own command)
    if ended.returncode != 0:
        raise DemoFailed(f"`nodewise replay` ended with code {ended.returncode}")
    print_savings(json.loads(ended.stdout))


def follow(client: Client) -> list[Run]:
    """Submit wave after wave, a few seconds apart, and wait for all runs.

    Raises:
        DemoFailed: They did not end in time.
    """
    runs: list[Run] = []
    began, total = time.monotonic(), sum(map(len, WAVES))
    with DemoView(client, total=total) as view:
        while len(runs) < total or not all(run.ended for run in runs):
            passed = time.monotonic() - began
            if passed > _PATIENCE_SECONDS:
                raise DemoFailed(f"the runs did not end within {_PATIENCE_SECONDS:.0f} s")
            runs += _due(client, view, runs=runs, passed=passed)
            for run in runs:
                if not run.ended:
                    run.refresh()
            view.show(runs)
            time.sleep(_LOOK_SECONDS)
    return runs


def _due(client: Client, view: DemoView, *, runs: list[Run], passed: float) -> list[Run]:
    """Submit the next wave if its time has come."""
    number = next((i for i in range(len(WAVES)) if len(runs) <= sum(map(len, WAVES[:i]))), None)
    if number is None or passed < number * _BETWEEN_WAVES_SECONDS:
        return []
    view.say(f"wave {number + 1}: submits {len(WAVES[number])} pipelines")
    folder = ROOT / "examples" / "waves"
    labels = {"wave": str(number + 1)}
    return [client.submit(f"{folder}/{target}", labels=labels) for target in WAVES[number]]


def product_names() -> list[str]:
    """What the demo left, by name."""
    return sorted(path.name for path in OUT.iterdir() if path.is_file())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
