"""Components of the corpus. Each is a plain function, which the tests call as it stands."""

# ruff: noqa: UP006, UP035, UP045 (KFP reads List and Optional)

from typing import Any, List, NamedTuple, Optional

from kfp import dsl

IMAGE = "python:3.11"
component = dsl.component(base_image=IMAGE)


@component
def add(a: int, b: int = 1) -> int:
    return a + b


@component
def halve(x: float) -> float:
    return x / 2


@component
def echo(text: str) -> str:
    return text


@component
def count(n: int) -> list:
    return list(range(n))


@component
def words(text: str) -> list:
    return text.split()


@component
def settings() -> list:
    return [
        {"rate": 0.1, "label": "slow", "deep": {"k": [1, 2]}},
        {"rate": 0.5, "label": "fast", "deep": {"k": [3]}},
    ]


@component
def option() -> dict:
    return {"items": [1, 2, 3], "name": "one"}


@component
def total(numbers: list) -> float:
    return float(sum(numbers))


@component
def join(items: list) -> str:
    return "+".join(str(item) for item in items)


@component
def yes() -> bool:
    return True


@component
def no() -> bool:
    return False


@component
def fail(text: str = "no luck") -> str:
    raise ValueError(text)


@component
def noop():
    pass


@component
def load(rows: int, data: dsl.Output[dsl.Dataset]) -> int:
    data.metadata["rows"] = rows
    return rows


@component
def train(data: dsl.Input[dsl.Dataset], rate: float, model: dsl.Output[dsl.Model]) -> float:
    model.metadata["rate"] = rate
    return rate * data.metadata["rows"]


@component
def make(number: int, model: dsl.Output[dsl.Model]):
    model.metadata["number"] = number


@component
def grade(model: dsl.Input[dsl.Model]) -> str:
    return model.name


@component
def compare(models: dsl.Input[List[dsl.Model]]) -> int:
    return len(models)


@component
def start_from(model: dsl.Input[dsl.Model] = None) -> str:
    return "fresh" if model is None else model.uri


@component
def maybe(text: Optional[str] = None, number: int = 3) -> str:
    return f"{text}/{number}"


@component
def told(text: str = "nothing") -> str:
    return text


@component
def all_types(s: str, i: int, d: float, b: bool, l: list, o: dict) -> str:  # noqa: E741
    return f"{s!r} {i!r} {d!r} {b!r} {l!r} {o!r}"


@component
def two(number: int) -> NamedTuple("Both", [("number", int), ("text", str)]):
    from collections import namedtuple  # noqa: PLC0415

    return namedtuple("Both", ["number", "text"])(number, f"n{number}")


@component
def report(status: dsl.PipelineTaskFinalStatus, note: str = "") -> str:
    return f"{note}{status.state}"


@component
def configured(config: dsl.TaskConfig) -> str:
    return "configured"


@dsl.component(
    base_image=IMAGE,
    packages_to_install=["pandas==2.1", "six"],
    pip_index_urls=["https://index.example/simple"],
)
def with_packages(text: str = "x") -> str:
    return text


@dsl.container_component
def shell(
    number: int,
    data: dsl.Input[dsl.Dataset],
    model: dsl.Output[dsl.Model],
    score: dsl.OutputPath(float),
    extra: Optional[str] = None,
):
    return dsl.ContainerSpec(
        image="alpine:3",
        command=["sh", "-c", "train"],
        args=[
            "--number", number, "--data", data.path, "--from", data.uri, "--model", model.path, "--score", score,
            dsl.ConcatPlaceholder(["n=", number, ",m=", model.uri]),
            dsl.IfPresentPlaceholder(input_name="extra", then=["--extra", extra], else_=["--plain"]),
        ],
    )  # fmt: skip


@dsl.container_component
def hello():
    return dsl.ContainerSpec(image="alpine:3", command=["echo"], args=["hello"])


def functions() -> dict[str, Any]:
    """The Python functions, by name."""
    return {
        name: value.python_func
        for name, value in globals().items()
        if isinstance(getattr(value, "python_func", None), type(functions))
    }
