"""Environments on disk: made once, kept, shared, removed only when nobody is in them. No pip here."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from nodewise.agent.packages import in_environment, pip_environment
from nodewise.agent.venvs import Builder, NotBuilt, PackageSet, Venvs

MIB = 1 << 20
HOLDS = """
import pathlib, sys
from nodewise.agent.venvs import Builder, PackageSet, Venvs

def build(root):
    (root / "bin").mkdir(parents=True)
    print("building", flush=True)
    sys.stdin.readline()
    (root / "bin" / "python").touch()

with Venvs(pathlib.Path(sys.argv[1]), limit_mib=0).using(
    PackageSet(packages=("a",)), Builder(build=build, pause=lambda: None)
) as root:
    print(root, flush=True)
    sys.stdin.readline()
"""


class GivenUp(Exception):
    pass


def wanted(*packages: str) -> PackageSet:
    return PackageSet(packages=packages)


class Works:
    """Builds environments of a size, and counts them."""

    def __init__(self, mib: int = 0) -> None:
        self.mib = mib
        self.built: list[Path] = []

    def __call__(self, root: Path) -> None:
        (root / "bin").mkdir(parents=True)
        (root / "bin" / "python").write_bytes(b"x" * self.mib * MIB)
        self.built.append(root)


def builder(build: Callable[[Path], None], *, patience: int = 1000) -> Builder:
    left = iter(range(patience))

    def pause() -> None:
        if next(left, None) is None:
            raise GivenUp
        threading.Event().wait(0.01)

    return Builder(build=build, pause=pause)


@pytest.fixture
def venvs(tmp_path: Path) -> Venvs:
    return Venvs(tmp_path / "venvs", limit_mib=10)


def use(venvs: Venvs, name: str, build: Callable[[Path], None]) -> Path:
    with venvs.using(wanted(name), builder(build)) as root:
        return root


def test_all_who_ask_at_once_get_one_environment(venvs: Venvs) -> None:
    works, arrived = Works(), threading.Barrier(6)

    def ask(_: int) -> Path:
        arrived.wait(10)
        return use(venvs, "a", works)

    with ThreadPoolExecutor(6) as pool:
        roots = set(pool.map(ask, range(6)))
    assert roots == set(works.built)
    assert len(works.built) == 1


def test_an_environment_outlives_who_made_it(venvs: Venvs, tmp_path: Path) -> None:
    first = use(venvs, "a", Works())
    again = Works()
    assert use(Venvs(tmp_path / "venvs", limit_mib=10), "a", again) == first
    assert again.built == []


@pytest.mark.parametrize(
    "other",
    [
        PackageSet(packages=("b",)),
        PackageSet(packages=("a",), options=("--index-url=x",)),
        PackageSet(packages=("a",), settings=(("PIP_INDEX_URL", "x"),)),
        PackageSet(packages=("a",), interpreter=("3.99", "/usr")),
    ],
)
def test_whatever_decides_what_is_installed_makes_another_environment(other: PackageSet) -> None:
    assert other.digest != wanted("a").digest
    assert wanted("a", "b").digest == wanted("b", "a").digest


def test_what_was_killed_in_the_middle_is_made_anew(venvs: Venvs, tmp_path: Path) -> None:
    half = tmp_path / "venvs" / wanted("a").digest / "half"
    (half / "bin").mkdir(parents=True)
    (half / "bin" / "python").touch()
    works = Works()
    assert use(venvs, "a", works) == works.built[0] != half
    assert not half.exists()


def test_what_nobody_finished_is_removed_when_an_agent_starts(venvs: Venvs, tmp_path: Path) -> None:
    root = use(venvs, "a", Works())
    half = root.parent / "half"
    half.mkdir()
    venvs.trim()
    assert root.exists()
    assert not half.exists()


def test_an_environment_whose_interpreter_is_gone_is_made_anew(venvs: Venvs) -> None:
    root = use(venvs, "a", Works())
    (root / "bin" / "python").unlink()
    assert use(venvs, "a", Works()) != root
    assert not root.exists()


def test_a_failure_is_told_to_all_who_waited_but_not_to_who_comes_later(venvs: Venvs) -> None:
    building, fail, waits = threading.Event(), threading.Event(), threading.Semaphore(0)
    tries = []

    def pause() -> None:
        waits.release()
        fail.wait(10)

    def fails(root: Path) -> None:
        tries.append(root)
        root.mkdir()
        building.set()
        assert fail.wait(10)
        raise NotBuilt("no such package", "the whole output")

    def ask() -> NotBuilt:
        given = Builder(build=fails, pause=pause)
        with pytest.raises(NotBuilt, match="no such package") as caught, venvs.using(wanted("a"), given):
            pass
        return caught.value

    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(ask)
        assert building.wait(10)
        waiting = [pool.submit(ask) for _ in range(2)]
        assert all(waits.acquire(timeout=10) for _ in waiting)
        fail.set()
        told = [one.result() for one in (first, *waiting)]
    assert len(tries) == 1
    assert [error.elsewhere for error in told] == [False, True, True]
    assert {error.output for error in told} == {"the whole output"}
    assert not tries[0].exists()
    works = Works()
    assert use(venvs, "a", works) == works.built[0]


def test_who_stops_waiting_leaves_and_who_stops_building_hands_over(venvs: Venvs) -> None:
    building, stop = threading.Event(), threading.Event()

    def stopped(root: Path) -> None:
        root.mkdir()
        building.set()
        assert stop.wait(10)
        raise GivenUp

    def ask() -> None:
        with pytest.raises(GivenUp):
            use(venvs, "a", stopped)

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(ask)
        assert building.wait(10)
        with pytest.raises(GivenUp), venvs.using(wanted("a"), builder(Works(), patience=3)):
            pass
        works = Works()
        second = pool.submit(use, venvs, "a", works)
        stop.set()
        first.result()
        assert second.result() == works.built[0]


def test_the_least_recently_used_goes_first(venvs: Venvs) -> None:
    roots = {name: use(venvs, name, Works(4)) for name in "ab"}
    for age, name in enumerate("ab"):
        os.utime(roots[name].parent / "ready.json", (1000 - age, 1000 - age))
    use(venvs, "c", Works(4))
    assert roots["a"].exists()
    assert not roots["b"].exists()


def test_what_is_in_use_stays_however_large(venvs: Venvs) -> None:
    with ExitStack() as stack:
        roots = [stack.enter_context(venvs.using(wanted(name), builder(Works(6)))) for name in "abc"]
        venvs.trim()
        assert all(root.exists() for root in roots)
    venvs.trim()
    assert [root.exists() for root in roots].count(True) == 1


def test_another_process_builds_and_uses_like_a_thread(tmp_path: Path) -> None:
    folder = tmp_path / "venvs"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        assert other.stdout.readline() == "building\n"
        venvs, works = Venvs(folder, limit_mib=0), Works()
        with pytest.raises(GivenUp), venvs.using(wanted("a"), builder(works, patience=3)):
            pass
        other.stdin.write("\n")
        other.stdin.flush()
        root = Path(other.stdout.readline().strip())
        assert use(venvs, "a", works) == root
        venvs.trim()
        assert root.exists()
        other.stdin.write("\n")
        other.stdin.flush()
        other.wait(10)
    assert works.built == []


def test_a_process_that_was_killed_holds_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "venvs"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "building\n"
        other.kill()
        other.wait(10)
    works = Works()
    assert use(Venvs(folder, limit_mib=10), "a", works) == works.built[0]


def test_pip_gets_where_packages_are_and_none_of_our_secrets() -> None:
    agents = {
        "PATH": "/bin", "REDIS_URL": "redis://secret", "PIP_INDEX_URL": "https://mirror", "PIP_TARGET": "/elsewhere",
        "PIP_USER": "1", "https_proxy": "http://proxy",
    }  # fmt: skip
    given = pip_environment({"PATH": "/bin", "TMPDIR": "/tmp/x"}, agents)
    assert given == {
        "PATH": "/bin", "TMPDIR": "/tmp/x", "PIP_INDEX_URL": "https://mirror", "https_proxy": "http://proxy",
    }  # fmt: skip


def test_programs_of_the_packages_come_first() -> None:
    inside = in_environment(Path("/venvs/x"), {"PATH": "/usr/bin:/bin"})
    assert inside == {"PATH": "/venvs/x/bin:/usr/bin:/bin", "VIRTUAL_ENV": "/venvs/x"}
