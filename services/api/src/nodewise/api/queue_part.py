"""The part of a long queue that an answer does not rest on, said in the answer."""

from pydantic import BaseModel, Field

from nodewise.api.schemas import example
from nodewise.core.db.queries.window import Rest, looks_for_all


class QueuePart(BaseModel):
    """Runs that wait and were not looked at."""

    model_config = example(
        runs=99550,
        tasks=99550,
        text="the queue is longer than what is looked at at a time: 99,550 runs with 99,550 tasks wait beside; they are not in this plan",
    )

    runs: int
    tasks: int = Field(description="Their tasks that wait for a node.")
    text: str


def part_view(rest: Rest, meaning: str) -> dict[str, object]:
    """The part as the API shows it; `meaning` says what follows from that."""
    runs = "1 run" if rest.runs == 1 else f"{rest.runs:,} runs"
    tasks = "1 task" if rest.tasks == 1 else f"{rest.tasks:,} tasks"
    text = f"the queue is longer than what is looked at at a time: {runs} with {tasks} wait beside; {meaning}"
    return {"runs": rest.runs, "tasks": rest.tasks, "text": text}


class LongQueue(BaseModel):
    """A queue that is longer than what a look of the scheduler sees."""

    model_config = example(
        runs=100000,
        tasks=100000,
        window=500,
        looks=667,
        text="100,000 runs wait, and a look of the scheduler sees about 500 of them: the first of each team, and the rest in turns, "
        "oldest first, each at least once in 667 looks",
    )

    runs: int = Field(description="Runs with tasks that wait for a node.")
    tasks: int = Field(description="These tasks.")
    window: int = Field(description="About so many runs a look sees.")
    looks: int = Field(description="In so many looks it has seen all.")
    text: str


def long_queue(waiting: Rest, *, window: int) -> LongQueue | None:
    """What is to be said of a queue of that length; None: nothing, each look sees all of it."""
    looks = looks_for_all(window, waiting.runs)
    if looks == 1:
        return None
    text = (
        f"{waiting.runs:,} runs wait, and a look of the scheduler sees about {window:,} of them: the first of each team, and the rest "
        f"in turns, oldest first, each at least once in {looks:,} looks"
    )
    return LongQueue(runs=waiting.runs, tasks=waiting.tasks, window=window, looks=looks, text=text)
