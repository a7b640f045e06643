"""The Pareto front of makespan and mean flow, as a picture."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """Somebody's figures, over their lower bounds."""

    label: str
    makespan: float
    flow: float
    preset: bool


def front(points: Sequence[Point]) -> list[Point]:
    """Those that nobody beats in both figures at once, by makespan."""
    found: list[Point] = []
    for point in sorted(points, key=lambda one: (one.makespan, one.flow)):
        if not found or point.flow < found[-1].flow:
            found.append(point)
    return found


def draw_front(points: Sequence[Point], *, near: float, path: Path) -> Path:
    """Draw everyone, the front as a line, and the square of those within `near` of the best in both figures."""
    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415 - the back end is chosen before

    figure, axes = plt.subplots(figsize=(9, 6))
    least = min(point.makespan for point in points), min(point.flow for point in points)
    axes.axvspan(least[0], near * least[0], ymax=1, color="tab:green", alpha=0.08)
    axes.axhspan(least[1], near * least[1], color="tab:green", alpha=0.08)
    best = front(points)
    axes.plot(
        [point.makespan for point in best], [point.flow for point in best], color="tab:gray", linewidth=1
    )
    for preset, marker in ((True, "o"), (False, "^")):
        some = [point for point in points if point.preset is preset]
        axes.scatter(
            [point.makespan for point in some],
            [point.flow for point in some],
            marker=marker,
            label="preset, as things come" if preset else "one plan, all known before",
        )
    for point in points:
        axes.annotate(
            point.label,
            (point.makespan, point.flow),
            xytext=(5, 4),
            textcoords="offset points",
            fontsize=8,
        )
    axes.set(xscale="log", yscale="log", xlabel="makespan / lower bound", ylabel="mean flow / lower bound")
    axes.set_title(f"60 pipelines at once; both bands: within {near:g} of the best by that figure")
    axes.legend()
    path.parent.mkdir(exist_ok=True)
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)
    return path
