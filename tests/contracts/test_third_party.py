"""A policy, a strategy and a planner of another package are found by entry point, used by name, and keep the contracts."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "tests" / "contracts" / "third_party"

USE = """
from nodewise.core import plugins
from nodewise.placer.mapping import MappingContext, map_tasks
from nodewise.scheduler.cycle import Queued, Snapshot, plan
from tests.support.builders import NOON, a_cluster, a_node, a_task, placement_context, policy_context

assert "newest" in plugins.policies() and "pack" in plugins.strategies(), "not found"
assert plugins.planner("one_by_one").summary == "Nothing side by side."
tasks = [a_task("old", submitted=0, policy="newest", strategy="pack"),
         a_task("new", submitted=9, policy="newest", strategy="pack")]
cluster = a_cluster(a_node("n1", cores=4), a_node("n2", cores=4, booked=2))
snapshot = Snapshot(queue=tuple(Queued(task=task) for task in tasks), cluster=cluster)
decided = plan(snapshot, plugins.policies(), policy_context(), max_admitted=9)
context = MappingContext(strategies=plugins.strategies(), now=NOON, rng=placement_context().rng)
placed = map_tasks(tasks, cluster, context)
print([admission.ref.path for admission in decided.admitted], [decision.node for decision in placed])
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which pip installed the other package, and nothing else."""
    target = tmp_path_factory.mktemp("elsewhere")
    run(
        "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-build-isolation",
        "--no-index", "--target", str(target), str(PACKAGE),
    )  # fmt: skip
    return target


def run(*arguments: str, path: Path | None = None) -> str:
    extra = {"PYTHONPATH": os.pathsep.join([str(path), str(ROOT)])} if path else {}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=os.environ | extra,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_an_installed_package_is_used_by_name(installed: Path) -> None:
    assert run("-c", USE, path=installed).strip() == "['new', 'old'] ['n2', 'n2']"


def test_an_installed_package_keeps_the_contracts(installed: Path) -> None:
    said = run(
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        str(PACKAGE / "contract_of_elsewhere.py"),
        path=installed,
    )
    assert "20 passed" in said


def test_without_the_package_its_names_are_unknown(installed: Path) -> None:
    said = run(
        "-c",
        "from nodewise.core import plugins; print('newest' in plugins.policies(), 'pack' in plugins.strategies())",
    )
    assert said.split() == ["False", "False"]
