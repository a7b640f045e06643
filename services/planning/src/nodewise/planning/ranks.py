"""Priorities of tasks that several planners share, on mean run and transfer times over free tasks."""

from collections.abc import Sequence

from nodewise.planning.instance import Instance


def upward_ranks(
    instance: Instance, seconds: Sequence[float] | None = None, *, transfers: float = 1.0
) -> list[float]:
    """The longest way from the start of each task to the end of its pipeline (Topcuoglu 2002, eq. 4); O(edges).

    Args:
        instance: What is to be planned.
        seconds: What a task counts as on the way, by index (None: its mean run time).
        transfers: How much of the mean transfer time counts.
    """
    ranks, per_mib = [0.0] * len(instance.ids), instance.mean_seconds_per_mib * transfers
    own = instance.mean_seconds if seconds is None else seconds
    for task in reversed(instance.free):
        behind = 0.0
        for child, mib in instance.children[task]:
            behind = max(behind, mib * per_mib + ranks[child])
        ranks[task] = own[task] + behind
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
