"""What can be put into the store: regular files and directories of them, and nothing that waits or leads away."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from nodewise.core.errors import StoreError
from nodewise.core.store import ArtifactStore
from nodewise.core.store.trees import NotStorable, open_regular


class Enough(Exception):
    """What a checkpoint raises here."""


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore((tmp_path / "store").as_uri())


def a_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


def a_link(path: Path) -> None:
    path.with_name("file").write_text("x")
    path.symlink_to("file")


def a_loop(path: Path) -> None:
    path.symlink_to(path.name)


def a_name_that_is_no_text(path: Path) -> None:
    path.mkdir()
    Path(os.fsdecode(os.fsencode(path) + b"/\xff")).touch()


def a_directory_with(make: Callable[[Path], None]) -> Callable[[Path], None]:
    def made(path: Path) -> None:
        path.mkdir()
        make(path / "x")

    return made


@pytest.mark.parametrize(
    "make",
    [
        os.mkfifo,
        a_link,
        a_loop,
        a_name_that_is_no_text,
        a_directory_with(os.mkfifo),
        a_directory_with(a_loop),
        a_directory_with(a_socket),
    ],
)
def test_what_is_no_content_is_refused_as_its_makers_fault(
    store: ArtifactStore, tmp_path: Path, make: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's address may have 108 bytes only
    make(Path("source"))
    with pytest.raises(NotStorable):
        store.put_path(Path("source"))


def test_a_link_to_nothing_within_a_tree_is_kept(store: ArtifactStore, tmp_path: Path) -> None:
    a_directory_with(lambda path: path.symlink_to("later"))(tmp_path / "in")
    store.fetch(store.put_path(tmp_path / "in")[0], tmp_path / "out")
    assert str((tmp_path / "out" / "x").readlink()) == "later"


def test_a_full_store_is_not_the_makers_fault(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file, no directory")
    (tmp_path / "in").write_text("x")
    with pytest.raises(StoreError) as raised:
        ArtifactStore((tmp_path / "store").as_uri()).put_path(tmp_path / "in")
    assert not isinstance(raised.value, NotStorable)


@pytest.mark.parametrize("stop_at", [1, 2, 3, 5, 8])
def test_a_checkpoint_ends_the_work_and_leaves_no_draft(
    store: ArtifactStore, tmp_path: Path, stop_at: int
) -> None:
    (tmp_path / "in").write_bytes(b"x" * (3 << 20))
    left = iter(range(stop_at))

    def checkpoint() -> None:
        if next(left) == stop_at - 1:
            raise Enough

    with pytest.raises(Enough):
        store.put_path(tmp_path / "in", checkpoint=checkpoint)
    assert not [path for path in (tmp_path / "store").rglob("*") if path.is_file()]


def test_a_checkpoint_is_passed_between_the_files_of_a_tree(store: ArtifactStore, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number in range(10):
        (tmp_path / "in" / str(number)).touch()
    passed: list[int] = []
    store.put_path(tmp_path / "in", checkpoint=lambda: passed.append(1))
    assert len(passed) >= 20


def test_a_regular_file_is_opened(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    with open_regular(tmp_path / "file") as file:
        assert file.read() == b"x"
    with pytest.raises(FileNotFoundError):
        open_regular(tmp_path / "none")
