"""Priorities of tasks that several planners share, on mean run and transfer times over free tasks."""

from nodewise.planning.instance import Instance


def upward_ranks(instance: Instance) -> list[float]:
    """The longest way from the start of each task to the end of its pipeline (Topcuoglu 2002, eq. 4); O(edges)."""
    ranks = [0.0] * len(instance.ids)
    for task in reversed(instance.free):
        behind = 0.0
        for child, mib in instance.children[task]:
            behind = max(behind, mib * instance.mean_seconds_per_mib + ranks[child])
        ranks[task] = instance.mean_seconds[task] + behind
    return ranks


def downward_ranks(instance: Instance) -> list[float]:
    """The longest way from the beginning of the pipeline to the start of each task (ibid., eq. 6); O(edges)."""
    ranks = [0.0] * len(instance.ids)
    for task in instance.free:
        for parent, mib in instance.parents[task]:
            if parent not in instance.fixed:
                way = ranks[parent] + instance.mean_seconds[parent] + mib * instance.mean_seconds_per_mib
                ranks[task] = max(ranks[task], way)
    return ranks
