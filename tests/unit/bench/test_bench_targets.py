"""What the benchmark promises to check, it checks; what misses a target makes the command fail."""

import json
import math
from pathlib import Path

import pytest

from bench.placement import __main__ as command
from bench.placement.checked import InvalidPlan, Result
from bench.placement.contenders import jobs_of, known_or_solved
from bench.placement.on_streams import nearness, over_bounds, savings
from bench.placement.plot import Point, draw_front, front
from bench.placement.report import Report
from bench.placement.scale import full, quick
from bench.placement.targets import Target, missed
from bench.placement.wrong_estimates import losses

SOME = Target(part="x", what="something", value=1.0, limit=2.0)
TOO_MUCH = Target(part="x", what="too much", value=2.1, limit=2.0)


def result(makespan: float, flow: float) -> Result:
    return Result(makespan=makespan, mean_flow=flow, seconds=0.1)


def test_a_target_is_met_up_to_its_limit_and_the_rounding_of_sums() -> None:
    at_limit = Target(part="x", what="w", value=2.0 + 1e-12, limit=2.0)
    unknown = Target(part="x", what="w", value=math.nan, limit=2.0)
    assert missed([SOME, at_limit, TOO_MUCH, unknown]) == [TOO_MUCH, unknown]


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A benchmark of two parts that need no time; what it writes is in the folder."""
    monkeypatch.setattr("bench.measure.RESULTS", tmp_path)
    found = {
        "e": lambda _: Report(figures={"n": 1}, targets=(SOME,)),
        "f": lambda _: Report(figures={"n": 2}, targets=(TOO_MUCH,)),
    }
    monkeypatch.setattr(command, "parts", lambda: found)
    return tmp_path


def test_the_command_ends_well_where_all_targets_are_met(parts: Path) -> None:
    assert command.main(["e"]) == 0
    assert [path.name for path in parts.iterdir()] == ["placement_e.json"]


def test_the_command_fails_and_names_what_it_missed(parts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["e", "f"]) == 1
    assert "MISSED x: too much" in capsys.readouterr().out
    assert (parts / "placement_f.json").exists()


def test_targets_do_not_bind_where_they_are_only_asked_for(parts: Path) -> None:
    assert command.main(["f", "--no-targets"]) == 0
    assert parts.exists()


def test_an_invalid_plan_of_ours_fails_whatever_the_targets(
    parts: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(_: object) -> Report:
        raise InvalidPlan("heft", "dag 3", "t1 is not in the schedule")

    monkeypatch.setattr(command, "parts", lambda: {"f": broken})
    assert command.main(["f", "--no-targets"]) == 1
    assert "heft on dag 3: t1 is not in the schedule" in capsys.readouterr().err
    assert not list(parts.iterdir())


def test_results_say_how_they_were_made(parts: Path) -> None:
    command.main(["e", "--seed", "7", "--quick"])
    written = json.loads((parts / "placement_e.json").read_text())
    assert written["environment"]["command"] == "python -m bench.placement e --seed 7 --quick"
    assert {"nodewise-planning", "ortools"} <= written["environment"]["versions"].keys()
    assert written["environment"]["cores"] >= 1
    assert written["figures"]["first_seed"] == 7


def test_an_unknown_part_is_refused() -> None:
    with pytest.raises(SystemExit):
        command.main(["z"])


@pytest.mark.parametrize("scale", [full(0), quick(0)])
def test_both_scales_have_the_stream_that_the_hard_target_is_about(scale: object) -> None:
    assert 60 in scale.streams  # type: ignore[attr-defined]


FOUND = {
    ("balanced", 0): result(60, 50),
    ("custom", 0): result(100, 100),
    ("quickest", 0): result(50, 200),
    ("balanced", 1): result(70, 60),
    ("custom", 1): result(100, 120),
    ("quickest", 1): result(70, 300),
}


def test_savings_are_means_of_shares_seed_by_seed() -> None:
    assert savings(FOUND, [0, 1]) == pytest.approx({"makespan": 0.35, "mean_flow": 0.5})


def test_nearness_compares_with_the_best_by_each_figure_alone() -> None:
    assert nearness(FOUND, [0, 1]) == {
        "makespan": [pytest.approx(1.2), 1.0],
        "mean_flow": [1.0, 1.0],
    }


def test_figures_over_bounds_are_sorted_by_both() -> None:
    rows = over_bounds(FOUND, {0: (50.0, 25.0), 1: (70.0, 30.0)})
    assert next(iter(rows)) == "balanced"
    assert rows["balanced"]["mean_flow"] == pytest.approx(2.0)


def test_losses_compare_wrong_estimates_with_right_ones_on_the_same_stream() -> None:
    found = {
        (0.0, "p", 0.0, 0): result(10, 10),
        (0.0, "p", 0.5, 0): result(12, 11),
        (0.0, "p", 0.0, 1): result(20, 20),
        (0.0, "p", 0.5, 1): result(20, 26),
    }
    lost = losses(found, (0.0, "p", 0.5), range(2))
    assert lost["mean_flow"] == pytest.approx(1.2)
    assert lost["worst_flow"] == pytest.approx(1.3)


def test_the_front_has_those_that_nobody_beats_in_both() -> None:
    points = [
        Point(label=name, makespan=x, flow=y, preset=True)
        for name, x, y in [("a", 1.0, 3.0), ("b", 2.0, 1.0), ("beaten", 2.0, 2.0), ("worse", 3.0, 3.0)]
    ]
    assert [point.label for point in front(points)] == ["a", "b"]


def test_the_front_is_drawn(tmp_path: Path) -> None:
    points = [
        Point(label="a", makespan=1.0, flow=2.0, preset=True),
        Point(label="b", makespan=2.0, flow=1.0, preset=False),
    ]
    path = draw_front(points, near=1.15, path=tmp_path / "front.png")
    assert path.read_bytes().startswith(b"\x89PNG")


def test_what_is_known_of_a_stream_is_not_found_again(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = jobs_of(quick(0), 60, 0.0, contenders=("balanced", "custom"))
    asked: list[object] = []

    def each(_: object, jobs: list[object]) -> list[Result]:
        asked.extend(jobs)
        return [result(1, 1) for _ in jobs]

    monkeypatch.setattr("bench.placement.contenders.each", each)
    known = {first: result(5, 5)}
    assert known_or_solved([first, second, second], known) == [result(5, 5), result(1, 1), result(1, 1)]
    assert asked == [second]
    assert known[second] == result(1, 1)
