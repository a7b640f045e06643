"""Loops, conditions, exit tasks and pipelines in pipelines: read by KFP, and doing in a run what they say."""

# ruff: noqa: B006 (KFP takes plain defaults)

from typing import Any

import pytest

from nodewise.core.ir import read_program
from nodewise.core.lifecycle import RunState, TaskState
from nodewise.sdk import (
    In,
    Model,
    Resources,
    collect,
    compile,  # noqa: A004
    each,
    elif_when,
    on_exit,
    one_of,
    otherwise,
    pipeline,
    when,
)
from tests.support.sdk_flows import (
    Pair,
    add,
    anything,
    best,
    boom,
    both,
    count,
    double,
    drive,
    even,
    flat_total,
    grade,
    graded,
    half,
    pair,
    say,
    search,
    seeds,
    settings,
    tell,
    total,
    train,
)

ALWAYS = 1000


def seen(run: Any, name: str, item: str) -> list[Any]:
    """What all tasks of that name were given for an input, in the order of their paths."""
    paths = sorted(path for path in run.seen if path.rpartition(".")[2] == name)
    return [run.seen[path].parameters.get(item) for path in paths]


def test_a_loop_over_a_list_runs_every_item_and_collects_in_order() -> None:
    @pipeline
    def p() -> int:
        with each([3, 1, 2]) as n:
            twice = double(n=n)
        return total(numbers=collect(twice.output)).output

    run, end = drive(p)
    assert (end.outcome, end.outputs.parameters) == (RunState.SUCCEEDED, {"Output": 12})
    assert seen(run, "double", "n") == [3, 1, 2]
    assert seen(run, "total", "numbers") == [[6, 2, 4]]
    assert run.most_live == 3


@pytest.mark.parametrize("limit", [1, 2])
def test_a_loop_goes_no_faster_than_it_may(limit: int) -> None:
    @pipeline
    def p():
        with each([1, 2, 3, 4], parallelism=limit) as n:
            add(a=double(n=n))

    assert drive(p)[0].most_live == limit


@pytest.mark.parametrize("numbers", [[], [7], [7, 8]])
def test_a_loop_over_a_parameter(numbers: list[int]) -> None:
    @pipeline
    def p(ns: list[int]) -> list:
        with each(ns) as n:
            with when(n >= 8):
                twice = double(n=n)
            with otherwise():
                same = add(a=n)
            chosen = add(a=one_of(twice.output, same.output))
        return collect(chosen.output)

    _, end = drive(p, {"ns": numbers})
    assert end.outputs.parameters["Output"] == [2 * n if n >= 8 else n for n in numbers]


def test_a_loop_over_an_output_runs_after_it() -> None:
    @pipeline
    def p():
        with each(count(n=3)) as n:
            double(n=n)

    run, _ = drive(p)
    assert run.ended[0] == "count"
    assert seen(run, "double", "n") == [0, 1, 2]


def test_parts_of_items_have_their_own_types_and_any_name() -> None:
    @pipeline
    def p():
        with each([{"name": "a", "rate": 1, "n": 1}, {"name": "b", "rate": 0.5, "n": 2}]) as item:
            say(text=item.name)
            half(x=item["rate"])
            double(n=item.n)
            with when(item.n > 1):
                say(text=f"{item.name} at {item.rate}")

    run, end = drive(p)
    assert end.outcome is RunState.SUCCEEDED
    assert (seen(run, "say", "text"), seen(run, "half", "x")) == (["a", "b"], [1.0, 0.5])
    assert seen(run, "double", "n") == [1, 2]
    assert seen(run, "say-2", "text") == ["b at 0.5"]


def test_parts_of_items_of_an_output() -> None:
    @pipeline
    def p():
        with each(settings()) as item:
            half(x=item.rate)
            with when(item.name == 2.0):
                say(text=f"{item['name']}")

    run, _ = drive(p)
    assert seen(run, "half", "x") == [0.5, 2.0]
    assert seen(run, "say", "text") == ["2.0"]


def test_loops_in_loops() -> None:
    @pipeline
    def p() -> int:
        with each([1, 2]) as i, each([10, 20, 30]) as j:
            sums = add(a=i, b=j)
        return flat_total(numbers=collect(sums)).output

    run, end = drive(p)
    assert seen(run, "flat-total", "numbers") == [[[11, 21, 31], [12, 22, 32]]]
    assert end.outputs.parameters == {"Output": 129}


def test_a_loop_over_a_list_in_an_item_and_over_items_that_are_lists() -> None:
    @pipeline
    def p(rows: list[list[int]] = [[1], [2, 3]]):
        with each([{"ns": [4]}, {"ns": [5, 6]}]) as item, each(item.ns) as n:
            double(n=n)
        with each(rows) as row, each(row) as n:
            add(a=n)

    run, end = drive(p)
    assert end.outcome is RunState.SUCCEEDED
    assert sorted(seen(run, "double", "n")) == [4, 5, 6]
    assert sorted(seen(run, "add", "a")) == [1, 2, 3]


def test_what_an_inner_loop_made_is_collected_in_the_outer_one() -> None:
    @pipeline
    def p():
        with each([1, 2]) as i:
            with each([1, 2]) as j:
                sums = add(a=i, b=j)
            total(numbers=collect(sums.output))

    assert seen(drive(p)[0], "total", "numbers") == [[2, 3], [3, 4]]


def test_artifacts_are_collected_and_looped_over() -> None:
    @pipeline
    def p() -> int:
        models = seeds(first=5)
        with each(models.output) as model:
            grade(model=model)
        return best(models=models.output).output

    run, end = drive(p)
    assert end.outputs.parameters == {"Output": 6}
    graded_models = [
        values.artifacts["model"][0].metadata for path, values in run.seen.items() if "grade" in path
    ]
    assert graded_models == [{"seed": 5}, {"seed": 6}]


def test_a_parameter_whose_name_is_a_part_of_the_loops_reaches_the_blocks_in_it() -> None:
    @pipeline
    def p(rates: list[float] = [1.0], rate: float = 2.0, a: int = 3):
        with each(rates) as r, when(r == 1.0), each([1]) as n:
            half(x=rate)
            add(a=a, b=n)
            say(text=f"{a} {rate} {r}")

    run, _ = drive(p)
    assert (seen(run, "half", "x"), seen(run, "add", "a")) == ([2.0], [3])
    assert seen(run, "say", "text") == ["3 2.0 1.0"]


@pytest.mark.parametrize(("n", "ran"), [(-1, "say"), (0, "say-2"), (5, "say-3"), (11, "say-4")])
def test_exactly_one_branch_runs(n: int, ran: str) -> None:
    @pipeline
    def p(n: int) -> str:
        with when(n < 0):
            first = say(text="below")
        with elif_when(n == 0):
            second = say(text="none")
        with elif_when(n <= 10):
            third = say(text="some")
        with otherwise():
            fourth = say(text="many")
        return one_of(first.output, second.output, third.output, fourth.output)

    run, end = drive(p, {"n": n})
    assert [path.rpartition(".")[2] for path in run.of_state(TaskState.SUCCEEDED)] == [ran]
    assert (
        end.outputs.parameters["Output"]
        == {"say": "below", "say-2": "none", "say-3": "some", "say-4": "many"}[ran]
    )


@pytest.mark.parametrize("flag", [True, False])
def test_a_bool_is_a_condition(flag: bool) -> None:
    @pipeline
    def p(flag: bool, n: int):
        with when(flag):
            double(n=n)
        with when(even(n=n)):
            add(a=n)
        with when(flag == False):  # noqa: E712 (it makes a condition)
            half(x=1.0)

    names = {
        path.rpartition(".")[2] for path in drive(p, {"flag": flag, "n": 4})[0].of_state(TaskState.SUCCEEDED)
    }
    assert names == {"even", "add", "double" if flag else "half"}


@pytest.mark.parametrize("text", ["it's", 'a "b"', "back\\slash", "two\nlines", "'", "\\'", "x' == 'x"])
def test_any_text_can_be_compared_with(text: str) -> None:
    @pipeline
    def p(given: str):
        with when(given == text):
            say(text="same")

    assert drive(p, {"given": text})[0].of_state(TaskState.SUCCEEDED)
    assert not drive(p, {"given": "x"})[0].of_state(TaskState.SUCCEEDED)


def test_an_artifact_of_whichever_branch_ran() -> None:
    @pipeline
    def p(n: int) -> int:
        with when(n > 1):
            first = train(seed=1)
        with otherwise():
            second = train(seed=2)
        return grade(model=one_of(first.model, second.model)).output

    assert drive(p, {"n": 2})[1].outputs.parameters == {"Output": 1}
    assert drive(p, {"n": 0})[1].outputs.parameters == {"Output": 2}


def test_conditions_in_conditions_mean_both() -> None:
    @pipeline
    def p(n: int):
        with when(n > 1), when(n < 5):
            double(n=n)

    assert [bool(drive(p, {"n": n})[0].of_state(TaskState.SUCCEEDED)) for n in (1, 3, 5)] == [
        False,
        True,
        False,
    ]


@pytest.mark.parametrize("fails", [False, True])
def test_an_exit_task_runs_last_and_knows_how_it_ended(fails: bool) -> None:
    @pipeline
    def p():
        with on_exit(tell(note="!")):
            add(a=double(n=1))

    run, end = drive(p, failures={"exit-handler-1.double": ALWAYS} if fails else {})
    assert end.outcome is (RunState.FAILED if fails else RunState.SUCCEEDED)
    assert run.ended[-1] == "tell"
    assert run.rows["tell"].outputs.parameters["Output"] == ("FAILED!" if fails else "SUCCEEDED!")


def test_a_task_that_ignores_failures_before_it() -> None:
    @pipeline
    def p():
        first = boom(n=1)
        say(text=say(text="x").after(first)).ignore_upstream_failure()
        say().after(first).ignore_upstream_failure()
        say().after(first)

    run, end = drive(p)
    assert end.outcome is RunState.FAILED
    assert run.of_state(TaskState.SUCCEEDED) == {"say-2", "say-3"}
    assert run.of_state(TaskState.SKIPPED) == {"say", "say-4"}


def test_a_task_runs_after_a_loop_that_it_takes_nothing_from() -> None:
    @pipeline
    def p():
        with each([1, 2]) as n:
            twice = double(n=n)
        say(text="done").after(twice)

    assert drive(p)[0].ended[-1] == "say"


def test_a_pipeline_is_a_step_with_outputs() -> None:
    @pipeline
    def p() -> int:
        first = both(n=2)
        second = both(n=first.small).after(first)
        graded(model=train(seed=4).model)
        return add(a=first.large, b=second.outputs["small"]).output

    run, end = drive(p)
    assert end.outputs.parameters == {"Output": 28}
    assert {"both.pair", "both-2.pair", "graded.grade"} <= run.of_state(TaskState.SUCCEEDED)


def test_a_pipeline_in_a_loop_and_in_a_branch() -> None:
    @pipeline
    def inner(n: int) -> int:
        with when(n > 1):
            big = double(n=n)
        with otherwise():
            small = add(a=n)
        return one_of(big.output, small.output)

    @pipeline
    def p() -> list:
        with each([1, 2, 3]) as n:
            with when(n < 3):
                first = inner(n=n)
            with otherwise():
                second = inner(n=10)
            result = add(a=one_of(first.output, second.output))
        return collect(result)

    assert drive(p)[1].outputs.parameters == {"Output": [1, 4, 20]}


def test_blocks_of_a_pipeline_and_of_the_one_around_it_are_told_apart() -> None:
    run, end = drive(search)
    assert end.outcome is RunState.SUCCEEDED
    assert sorted(seen(run, "say-4", "text")) == ["4.0 is good", "fair"]
    assert seen(run, "train", "seed") == [5, 6]
    assert run.rows["tell"].outputs.parameters["Output"] == "SUCCEEDEDx"


def test_hints_of_tasks_in_a_pipeline_that_is_a_step_arrive_at_them() -> None:
    @pipeline
    def inner(n: int):
        double(n=n).on_node("n1").with_resources(Resources(cpu=3))

    @pipeline
    def p():
        double(n=1).on_node("n2")
        inner(n=1)
        inner(n=2)

    compiled = compile(p)
    root = read_program(compiled.pipeline_spec, compiled.platform_spec).root
    nodes = {
        step.name: step.component.hints.requirements.nodes if hasattr(step.component, "hints")
        else step.component.steps[0].component.hints.requirements.nodes
        for step in root.steps
    }  # fmt: skip
    assert nodes == {"double": ("n2",), "inner": ("n1",), "inner-2": ("n1",)}


def test_several_outputs_of_a_pipeline() -> None:
    @pipeline
    def p(n: int) -> Pair:
        made = pair(n=n)
        return made.small, made.large

    assert drive(p, {"n": 3})[1].outputs.parameters == {"small": 3, "large": 30}


def test_an_item_of_a_list_of_anything_fits_what_it_is() -> None:
    @pipeline
    def p(model: str = "x"):
        with each(anything()) as n:
            double(n=n)
            with when(n == "1"):
                say(text=model)

    run, _ = drive(p)
    assert seen(run, "double", "n") == [1, 2]
    assert seen(run, "say", "text") == ["x"]


def test_a_pipeline_that_takes_an_artifact_is_no_whole_one() -> None:
    @pipeline
    def p(model: In[Model]):
        grade(model=model)

    with pytest.raises(Exception, match="cannot take the artifact 'model' but as a step"):
        compile(p)
