"""Loops, conditions and exit tasks of a pipeline. All of them compile to what KFP calls by other names.

| here | KFP |
|---|---|
| `each` | `dsl.ParallelFor` |
| `when`, `elif_when`, `otherwise` | `dsl.If`, `dsl.Elif`, `dsl.Else` |
| `one_of` | `dsl.OneOf` |
| `collect` | `dsl.Collected` |
| `on_exit` | `dsl.ExitHandler` |
"""

from typing import Any

from nodewise.sdk.dsl.blocks import Block
from nodewise.sdk.dsl.building import builder_for
from nodewise.sdk.dsl.errors import place_of_caller
from nodewise.sdk.dsl.handle import TaskHandle


def each(items: Any, parallelism: int = 0) -> Block[Any]:
    """Repeat a block for every item, side by side.

        with each([0.1, 0.01], parallelism=2) as rate:
            train(rate=rate)

    Args:
        items: a list, a parameter or an output that is a list, or a list of artifacts. Parts of an item that is a dict are
            its attributes (`item.rate`) or entries (`item["rate"]`).
        parallelism: how many items may be under way at a time; 0: all.

    Raises:
        PipelineError: it is nothing to loop over; names the line.
    """
    builder, place = builder_for("each"), place_of_caller()
    return Block("with each(items) as item:", lambda: builder.each(items, parallelism, place))


def when(condition: Any) -> Block[None]:
    """Run a block only if a condition is met.

        with when(score.output >= 0.9):
            publish(model=trained.model)

    Args:
        condition: one comparison (`==`, `!=`, `<`, `<=`, `>`, `>=`) of an output, parameter or item with a constant or with
            another one; or a bool that is an output, parameter or item.

    Raises:
        PipelineError: it is no such comparison; names the line.
    """
    builder, place = builder_for("when"), place_of_caller()
    return Block("with when(condition):", lambda: builder.when(condition, place))


def elif_when(condition: Any) -> Block[None]:
    """Run a block if this condition is met and none of those above it was. Follows `when` or `elif_when`.

    Raises:
        PipelineError: it follows nothing of the kind, or the condition is none; names the line.
    """
    builder, place = builder_for("elif_when"), place_of_caller()
    return Block("with elif_when(condition):", lambda: builder.elif_when(condition, place))


def otherwise() -> Block[None]:
    """Run a block if no condition above it was met. Follows `when` or `elif_when`.

    Raises:
        PipelineError: it follows nothing of the kind; names the line.
    """
    builder, place = builder_for("otherwise"), place_of_caller()
    return Block("with otherwise():", lambda: builder.otherwise(place))


def on_exit(task: TaskHandle) -> Block[None]:
    """Run a task when a block has ended, however it ended.

        with on_exit(report()):
            train(rate=0.1)

    The task is called right here and depends on no other; a parameter of type `RunStatus` tells it how the block ended.

    Raises:
        PipelineError: it is no such task, or stands in another block; names the line.
    """
    builder, place = builder_for("on_exit"), place_of_caller()
    return Block("with on_exit(task()):", lambda: builder.on_exit(task, place))


def collect(output: Any) -> Any:
    """All values that an output had in a loop, as one list in the order of the items. For use after the loop.

    Raises:
        PipelineError: it was not made in a loop that has been left; names the line.
    """
    return builder_for("collect").collect(output)


def one_of(*outputs: Any) -> Any:
    """The output of whichever branch ran. Takes one output of every branch; the branches end with `otherwise`.

    Raises:
        PipelineError: the outputs are not one of each branch; names the line.
    """
    return builder_for("one_of").one_of(outputs)
