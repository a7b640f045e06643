"""The benchmarks' commands say what there is to measure."""

import pytest

from bench.__main__ import BENCHMARKS
from bench.__main__ import main as bench
from bench.placement.__main__ import LETTERS
from bench.placement.__main__ import main as placement


def test_help_lists_every_benchmark_with_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        bench(["--help"])
    assert ended.value.code == 0
    lines = capsys.readouterr().out.splitlines()
    for name, module in BENCHMARKS.items():
        (line,) = [line for line in lines if line.split()[:1] == [name]]
        said = line.removeprefix(f"  {name}").strip()
        assert said.endswith(".")
        assert said in (module.__doc__ or "")


def test_help_lists_every_part_of_the_placement_benchmark(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        placement(["--help"])
    assert ended.value.code == 0
    lines = capsys.readouterr().out.splitlines()
    for letter in LETTERS:
        (line,) = [line for line in lines if line.split()[:1] == [letter]]
        assert line.endswith(".")
        assert len(line.split()) > 3


def test_a_benchmark_that_is_not_there_is_refused_with_those_that_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        bench(["nothing"])
    assert ended.value.code == 2
    assert f"no benchmark named nothing; known: {', '.join(BENCHMARKS)}" in capsys.readouterr().err
