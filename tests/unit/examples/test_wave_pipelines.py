"""The example pipelines: all compile, say honestly what they make, and really learn."""

from pathlib import Path
from typing import Any

import pytest

from examples.demo import WAVES
from nodewise.core.estimates.effort import effort_flops
from nodewise.core.ir import read_program
from nodewise.core.model.task import TaskSpec
from nodewise.sdk import load_pipelines, load_submission
from tests.support.programs import born

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / "examples" / "waves"
TARGETS = [target for wave in WAVES for target in wave]


def specs_of(target: str) -> list[TaskSpec]:
    compiled = load_submission(str(FOLDER / target))
    program = read_program(compiled.pipeline_spec, (compiled.platform_spec or {}).get("platforms"))
    return [task.spec for task in born(program).values()]


def load(target: str) -> Any:
    file, _, name = target.partition(":")
    return load_pipelines(FOLDER / file)[name]


def test_there_are_three_waves_of_six_and_each_pipeline_runs_once() -> None:
    assert [len(wave) for wave in WAVES] == [6, 6, 6]
    written = {f"{file.name}:{name}" for file in FOLDER.glob("*.py") for name in load_pipelines(file)}
    assert sorted(TARGETS) == sorted(written)


@pytest.mark.parametrize("target", TARGETS)
def test_each_prepares_trains_and_evaluates_with_an_estimate(target: str) -> None:
    specs = specs_of(target)

    assert [spec.kind for spec in specs] == ["preprocessing", "training", "evaluation"]
    assert all((effort_flops(spec) or 0) > 0 for spec in specs)
    assert specs[1].model is not None
    assert specs[1].task_class == f"training/{specs[1].model.type}"


def test_pipelines_differ_in_their_hints_though_they_share_functions() -> None:
    models = {spec.model.type for target in TARGETS for spec in specs_of(target) if spec.model}

    assert models == {
        "random_forest", "svm", "decision_tree", "logistic_regression", "linear_regression", "nn",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("target", "scale", "least"),
    [
        ("breast_cancer.py:breast_cancer_svm", 1.0, 0.9),
        ("mnist.py:mnist_nn", 1.0, 0.9),
        ("wine_quality.py:wine_quality_linear_regression", 0.2, 0.4),
        ("kddcup99.py:kddcup99_random_forest", 0.002, 0.5),
        ("cifar10.py:cifar10_nn", 0.01, 0.2),
    ],
)
def test_a_pipeline_learns_more_than_chance(target: str, scale: float, least: float) -> None:
    run = load(target)(scale=scale)

    assert run["evaluate"]["Output"] >= least


@pytest.mark.parametrize(
    ("target", "step"),
    [("unsw_nb15.py:unsw_nb15_nn", "prepare-table"), ("citrus_leaves.py:citrus_leaves_nn", "prepare-images")],
)
def test_the_hints_say_how_much_is_really_made(target: str, step: str) -> None:
    specs = specs_of(target)
    made = load(target)()[step]["Output"]

    assert {spec.dataset.samples for spec in specs if spec.dataset} == {made}


def test_the_quickstart_classifies_irises() -> None:
    assert load_pipelines(ROOT / "examples" / "quickstart.py")["quickstart"](depth=3)["fit"]["Output"] > 0.8
