"""Whether all times that can come out of a problem have a date."""

from typing import Final

from nodewise.core.model.problem import Problem
from nodewise.simulator.errors import InvalidProblem
from nodewise.simulator.fields import LONGEST

TOTAL: Final = 100 * LONGEST
"""All tasks and transfers one after another may take so long: 3,100 years. Dates end after 8,000."""


def check_lengths(problem: Problem) -> None:
    """Refuse what would take longer than there are dates, whoever decides. O(tasks x nodes + dependencies).

    Raises:
        InvalidProblem: A transfer may take too long, or all together do; names the place.
    """
    links = problem.links
    slowest = min(links.default_mib_per_s, *links.pairs.values()) if links.pairs else links.default_mib_per_s
    total = 0.0
    for i, pipeline in enumerate(problem.pipelines):
        for j, task in enumerate(pipeline.tasks):
            total += max(task.seconds.values())
            for k, dependency in enumerate(task.after):
                longest = dependency.mib / slowest
                if longest > LONGEST:
                    place = f"pipelines[{i}].tasks[{j}].after[{k}].mib"
                    raise InvalidProblem(
                        place,
                        f"takes {longest:g} s at {slowest:g} MiB/s, the slowest rate; at most {LONGEST:g}",
                    )
                total += longest
    if total > TOTAL:
        raise InvalidProblem(
            "pipelines", f"take {total:g} s one task after another, transfers included; at most {TOTAL:g}"
        )
