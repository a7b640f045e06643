"""The benchmark of the stack says what there is to measure, judges by its targets, and invents no figure of a peer."""

import json
from pathlib import Path

import pytest

from bench.measure import BenchFailed, save
from bench.stack import peers
from bench.stack.__main__ import PARTS
from bench.stack.__main__ import main as stack
from bench.stack.report import Target, judge


def test_help_lists_every_part_of_the_stack_benchmark(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        stack(["--help"])
    assert ended.value.code == 0
    lines = capsys.readouterr().out.splitlines()
    for name in PARTS:
        (line,) = [line for line in lines if line.split()[:1] == [name]]
        assert len(line.split()) > 3


def test_an_unknown_part_of_the_stack_benchmark_is_refused() -> None:
    with pytest.raises(SystemExit) as ended:
        stack(["nothing"])
    assert ended.value.code == 2


def test_targets_are_told_with_their_figures_and_the_missed_ones_fail(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(BenchFailed, match=r"missed: slow$"):
        judge([Target(what="fast", value=2.0, at_most=2.0), Target(what="slow", value=1.9, at_least=2.0)])
    assert capsys.readouterr().out.splitlines() == [
        "met: fast: 2 (at most 2)",
        "MISSED: slow: 1.9 (at least 2)",
    ]


def test_a_peer_that_is_not_installed_is_left_out_and_said_to_be(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(peers, "PYTHON", tmp_path / "python")
    found = peers.ask("dask_script.py", folder=tmp_path)
    assert found.figures is None
    assert "make bench-stack" in found.left_out
    assert capsys.readouterr().out.startswith("LEFT OUT dask_script.py: ")


def script(tmp_path: Path, body: str) -> str:
    file = tmp_path / "peer"
    file.write_text(f"#!/bin/sh\n{body}\n")
    file.chmod(0o755)
    return str(file)


def test_a_peer_that_fails_is_left_out_with_what_it_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(peers, "PYTHON", Path(script(tmp_path, "echo no server >&2; exit 3")))
    found = peers.ask("x.py", folder=tmp_path)
    assert found.figures is None
    assert found.left_out == "it ended with 3: no server"


def test_a_peer_that_hangs_is_ended_with_all_that_it_started(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(peers, "PYTHON", Path(script(tmp_path, "sleep 60 & wait")))
    found = peers.ask("x.py", folder=tmp_path, seconds=0.2)
    assert found.left_out == "no answer in 0.2 s"


def test_the_last_line_of_a_peer_is_its_result(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    said = json.dumps({"figures": {"seconds": 1.5}, "versions": {"dask": "1"}})
    monkeypatch.setattr(peers, "PYTHON", Path(script(tmp_path, f"echo noise; echo '{said}'")))
    found = peers.ask("x.py", folder=tmp_path)
    assert (found.figures, found.versions) == ({"seconds": 1.5}, {"dask": "1"})


def test_results_keep_figures_targets_and_the_versions_of_peers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("bench.measure.RESULTS", tmp_path)
    target = Target(what="ms", value=1.0, at_most=2.0)
    path = save("stack_x", {"targets": (target,)}, command="python -m bench.stack x", others={"dask": "1"})
    written = json.loads(path.read_text())
    assert written["environment"]["command"] == "python -m bench.stack x"
    assert written["environment"]["versions"]["dask"] == "1"
    assert written["figures"]["targets"] == [{"what": "ms", "value": 1.0, "at_most": 2.0, "at_least": None}]
