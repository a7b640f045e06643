"""Runs in .venv-bench: `wfcommons_worker.py SEED SIZE...` prints a workflow of each recipe and size, as JSON.

Recipes are found in the package, so a new one takes part by being shipped. One that cannot be as small as asked is made
as small as it can be. Names are counted, since those of the package are random.
"""

import json
import random
import sys
from typing import Any

import numpy as np
from wfcommons.wfchef import recipes
from wfcommons.wfchef.duplicate import duplicate
from wfcommons.wfchef.wfchef_abstract_recipe import WfChefWorkflowRecipe

MIB = 2**20


def build(recipe: type[WfChefWorkflowRecipe], size: int, seed: int) -> Any:
    random.seed(seed)
    np.random.seed(seed)
    try:
        return recipe(num_tasks=size).build_workflow()
    except ValueError:  # the graph that it would start from is larger than asked for
        return from_smallest(recipe, size).build_workflow()


def from_smallest(recipe: type[WfChefWorkflowRecipe], size: int) -> WfChefWorkflowRecipe:
    """A recipe that starts from its smallest graph (`BaseMethod.SMALLEST` of version 1.6 raises a TypeError)."""
    found = recipe(num_tasks=size)
    folder = found.this_dir / "microstructures"
    bases = json.loads((folder / "summary.json").read_text())["base_graphs"].values()
    least = max(size, min(base["order"] for base in bases))
    found.generate_nx_graph = lambda: duplicate(folder, "", least)
    return found


def described(name: str, size: int, workflow: Any) -> dict[str, Any]:
    number = {key: k for k, key in enumerate(workflow.nodes)}
    tasks = [workflow.nodes[key]["task"] for key in workflow.nodes]
    edges = []
    for source, target in workflow.edges:
        parent, child = tasks[number[source]], tasks[number[target]]
        wanted = {file.file_id for file in child.input_files}
        sent = sum(file.size for file in parent.output_files if file.file_id in wanted)
        edges.append((number[source], number[target], sent / MIB))
    return {
        "recipe": name,
        "asked": size,
        "tasks": [{"type": task.name, "seconds": float(task.runtime)} for task in tasks],
        "edges": sorted(edges),
    }


def main(seed: int, sizes: list[int]) -> None:
    found = []
    for attribute in sorted(recipes.__dict__):
        if not attribute.endswith("Recipe"):
            continue
        recipe = getattr(recipes, attribute)
        name = attribute.removesuffix("Recipe").lower()
        found += [described(name, size, build(recipe, size, seed)) for size in sizes]
    print(json.dumps(found))


if __name__ == "__main__":
    first, *rest = map(int, sys.argv[1:])
    main(first, rest)
