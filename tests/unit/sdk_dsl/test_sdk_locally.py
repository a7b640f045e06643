"""Tasks and pipelines as plain Python."""

from pathlib import Path

import pytest

from nodewise.sdk import (
    Dataset,
    Metrics,
    Model,
    Pipeline,
    PipelineError,
    RunStatus,
    Task,
    container_task,
    each,
    on_exit,
    pipeline,
    task,
    when,
)
from tests.support.sdk_flows import anything, boom, both, double, search, seeds, tell, train
from tests.support.sdk_pipelines import best, demo, fit, optional, prepare


def test_a_task_is_still_its_function(tmp_path: Path) -> None:
    train, test = Dataset(uri=tmp_path / "train"), Dataset(uri=str(tmp_path / "test"))
    assert prepare(5, train, test, note="x") == (5, 1)
    assert Path(train.path).read_text() == "5 rows, seed 7, x"
    assert train.metadata == {"rows": 5}
    assert prepare.__doc__ == "Make data."
    assert prepare.__name__ == "prepare"
    assert isinstance(prepare, Task)


def test_metrics_and_models_have_what_kfps_have(tmp_path: Path) -> None:
    data, model, metrics = Dataset(uri=tmp_path / "d"), Model(), Metrics(name="m")
    Path(data.path).write_text("x")
    model.path = str(tmp_path / "model")
    assert fit(data, 2.0, model, metrics) == 4.0
    assert metrics.metadata == {"rate": 2.0}
    model.framework = "sklearn"
    assert model.framework == "sklearn"
    assert "Model(name=''" in repr(model)


def test_a_pipeline_runs_in_this_process() -> None:
    run = demo(rows=4, rate=3)
    assert isinstance(demo, Pipeline)
    assert list(run.outputs) == ["prepare", "fit", "fit-2", "best"]
    assert run["prepare"]["train_rows"] == 4
    assert Path(run["prepare"]["train"].path).read_text() == "4 rows, seed 7, of 4"
    assert run["fit"]["metrics"].metadata == {"rate": 3}
    assert run["fit-2"]["Output"] == 2.0
    assert run["best"]["Output"] == "3.0: 6.0"


def test_its_files_go_with_the_run() -> None:
    run = demo()
    folder = run.folder
    assert folder.is_dir()
    del run
    assert not folder.exists()


def test_defaults_and_optional_inputs() -> None:
    @pipeline
    def one():
        optional(flag=True)

    assert one()["optional"]["Output"] is True


def test_a_pipeline_refuses_parameters_that_it_does_not_have() -> None:
    with pytest.raises(
        PipelineError, match=r"test_sdk_locally.py:\d+: pipeline 'demo' has no input named 'row'"
    ):
        demo(row=3)


def test_a_pipeline_needs_its_parameters() -> None:
    @pipeline
    def one(scores: list):
        best(scores=scores)

    with pytest.raises(PipelineError, match="needs scores"):
        one()


def test_loops_branches_and_exit_tasks_run_here_too() -> None:
    run = search(rates=[0.5, 2.0, 4.0])
    assert run.output == "x!"
    assert [outputs["Output"] for outputs in run.of("say-4")] == ["fair", "2.0 is good", "4.0 is good"]
    assert run["tell"]["Output"] == "SUCCEEDEDx"
    assert [outputs["Output"] for outputs in run.of("grade")] == [5, 6]
    assert not run.of("say-3")


def test_the_pipelines_own_outputs() -> None:
    models = seeds(first=1).output
    assert [type(model) for model in models] == [Model, Model]
    assert [model.metadata["seed"] for model in models] == [1, 2]
    assert both(n=2).result == {"small": 4, "large": 20}


def test_the_first_error_comes_out_after_the_exit_task_has_run() -> None:
    told: list[str] = []

    @task
    def note(status: RunStatus):
        told.append(status.state)

    @task
    def fails():
        raise LookupError("no such thing")

    @pipeline
    def one():
        with on_exit(note()):
            fails()

    with pytest.raises(PipelineError, match="uses 'told' from outside itself"):
        one()

    @pipeline
    def two():
        with on_exit(tell()):
            boom(n=3)

    with pytest.raises(RuntimeError, match="no 3"):
        two()


def test_an_input_of_the_wrong_type_is_an_error_here_too() -> None:
    @pipeline
    def one():
        with each(anything()) as n:
            train(seed=n)
        with each(["a"]) as word, when(word == "a"):
            double(n=word)

    with pytest.raises(PipelineError, match="Incompatible argument"):
        one()


def test_a_container_task_does_not_run_here() -> None:
    @container_task(image="alpine")
    def echo():
        return ["echo"]

    @pipeline
    def one():
        echo()

    with pytest.raises(PipelineError, match="is a container task: it does not run in this process"):
        one()
