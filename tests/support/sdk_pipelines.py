"""Tasks and pipelines as a user writes them, small enough to run."""

# ruff: noqa: PLC0415, B006 (a task imports in its body; KFP takes plain defaults)

from typing import NamedTuple

import nodewise.sdk as nw
from nodewise.sdk import (
    Dataset,
    DatasetHint,
    In,
    Metrics,
    Model,
    ModelHint,
    Out,
    Resources,
    dataset_path,
    pipeline,
    task,
)

SEED = 7


class Split(NamedTuple):
    train_rows: int
    test_rows: int


@task(
    kind="preprocessing",
    resources=Resources(cpu=0.5, memory="512Mi"),
    dataset=DatasetHint(name="digits", samples=100),
)
def prepare(
    rows: int, train: nw.Out[nw.Dataset], test: Out[Dataset], seed: int = SEED, note: str | None = None
) -> Split:
    """Make data."""
    # The comment travels too: "no escaping" of what is in here.
    from pathlib import Path

    Path(train.path).write_text(f"{rows} rows, seed {seed}, {note}")
    Path(test.path).write_text("test")
    train.metadata["rows"] = rows
    return rows, 1


@task(
    kind="training", retries=2, timeout="90m", cache=False, task_class="mine", env={"MODE": "fast"},
    model=ModelHint(type="random_forest", parameters={"trees": 10}), resources=Resources(cpu=2, memory="1Gi", gpu=1),
)  # fmt: skip
def fit(
    data: In[Dataset], rate: float, model: Out[Model], metrics: Out[Metrics], options: dict = {"a": [1, 2.5]}
) -> float:
    """Train."""
    from pathlib import Path

    Path(model.path).write_text(Path(data.path).read_text())
    metrics.log_metric("rate", rate)
    return rate * 2


@task
def best(scores: list[float], label: str = "") -> str: return f"{label}{max(scores)}"  # fmt: skip


@task
def optional(model: In[Model] | None = None, *, flag: bool, text: str = "t") -> bool:
    return flag and model is None and text == "t"


@task(dataset="digits")
def reads_the_data_set() -> str:
    return dataset_path().read_text()


@pipeline(name="demo", description="a demo", priority=5, deadline="6h", team="vision")
def demo(rows: int = 10, rates: list[float] = [0.1, 0.2], rate: float = 0.5):
    data = prepare(rows=rows, note=f"of {rows}")
    first = fit(data.train, rate).prefer(accelerator="gpu", disk="ssd")
    second = fit(data=data.outputs["test"], rate=1)
    second.require(architecture="arm64", worker_type=["high-cpu", "med-cpu"], zone="a").on_node("n1", "n2")
    second.with_resources(Resources(memory="2Gi"))
    best(scores=[first, second.output], label=f"{rate}: ").after(data)
