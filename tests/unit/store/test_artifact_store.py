import errno
import io
import os
import tempfile
import threading
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nodewise.core.errors import ArtifactMissing, ArtifactTooLarge, StoreError, StoreFull
from nodewise.core.store import ArtifactStore
from nodewise.core.store.blobs import Draft
from tests.support.examples import examples

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=20).filter(
    lambda name: name not in (".", "..")
)
TREES = st.recursive(
    st.tuples(st.binary(max_size=50), st.sampled_from([0o600, 0o644, 0o755])),
    lambda children: st.dictionaries(NAMES, children, max_size=4),
    max_leaves=10,
)


@pytest.fixture(params=["file", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ArtifactStore:
    if request.param == "file":
        return ArtifactStore((tmp_path / "store [x]").as_uri())
    return ArtifactStore(f"memory://{uuid.uuid4().hex}")


def write(path: Path, tree: object) -> None:
    if isinstance(tree, tuple):
        path.write_bytes(tree[0])
        path.chmod(tree[1])
        return
    assert isinstance(tree, dict)
    path.mkdir()
    for name, child in tree.items():
        write(path / name, child)


def read(path: Path) -> object:
    if path.is_dir():
        return {child.name: read(child) for child in path.iterdir()}
    return path.read_bytes(), path.stat().st_mode & 0o777


def test_bytes_come_back(store: ArtifactStore) -> None:
    uri = store.put_bytes(b"hello")
    assert uri.startswith("store://file/")
    assert store.get_bytes(uri) == b"hello"


def test_a_file_comes_back(store: ArtifactStore, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"x" * 3_000_000)
    uri, size = store.put_path(tmp_path / "in")
    store.fetch(uri, tmp_path / "far" / "out")
    assert size == 3_000_000
    assert (tmp_path / "far" / "out").read_bytes() == b"x" * 3_000_000


@given(tree=st.dictionaries(NAMES, TREES, max_size=4))
@settings(
    max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_tree_comes_back(store: ArtifactStore, tree: dict[str, object]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "in"), Path(folder, "out")
        try:
            write(source, tree)
        except OSError:  # the file system does not take such a name
            return
        uri, _ = store.put_path(source)
        store.fetch(uri, target)
        assert read(target) == read(source)
        assert store.put_path(target)[0] == uri


def test_links_inside_a_tree_come_back(store: ArtifactStore, tmp_path: Path) -> None:
    source = tmp_path / "in"
    (source / "step-3").mkdir(parents=True)
    (source / "step-3" / "weights").write_text("w")
    (source / "latest").symlink_to("step-3")
    uri, size = store.put_path(source)
    store.fetch(uri, tmp_path / "out")
    assert (tmp_path / "out" / "latest" / "weights").read_text() == "w"
    assert (tmp_path / "out" / "latest").is_symlink()
    assert size == 1


def test_a_tree_with_a_link_outside_is_refused(store: ArtifactStore, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "secret").symlink_to("/etc/passwd")
    with pytest.raises(StoreError, match="leads out"):
        store.put_path(tmp_path / "in")


def test_the_same_content_is_stored_once(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path.joinpath("store").as_uri())
    (tmp_path / "in").write_bytes(b"same")
    uris = {store.put_bytes(b"same"), store.put_path(tmp_path / "in")[0]}
    uris.add(store.put_stream(io.BytesIO(b"same"), limit_bytes=4)[0])
    assert len(uris) == 1
    assert len([path for path in (tmp_path / "store").rglob("*") if path.is_file()]) == 1


def test_a_stream_above_its_limit_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path.as_uri())
    with pytest.raises(ArtifactTooLarge):
        store.put_stream(io.BytesIO(b"12345"), limit_bytes=4)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_what_is_not_there_is_missing(store: ArtifactStore, tmp_path: Path) -> None:
    uri = f"store://file/{'0' * 64}"
    with pytest.raises(ArtifactMissing, match="store://file/000"):
        store.get_bytes(uri)
    with pytest.raises(ArtifactMissing, match="store://file/000"):
        store.fetch(uri, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_changed_content_is_noticed(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path.joinpath("store").as_uri())
    uri = store.put_bytes(b"true")
    (stored,) = (path for path in (tmp_path / "store").rglob("*") if path.is_file())
    stored.write_bytes(b"fake")
    with pytest.raises(StoreError, match="not what was stored"):
        store.get_bytes(uri)
    with pytest.raises(StoreError, match="not what was stored"):
        store.fetch(uri, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["store"]


@pytest.mark.parametrize("key", ["logs/r/loop[0].train/1.txt", "logs/r/../x", "logs/ü/*?/1.txt"])
def test_a_key_holds_what_was_written_last(store: ArtifactStore, key: str) -> None:
    assert store.read_key(key) is None
    store.write_key(key, b"one")
    store.write_key(key, b"two")
    assert store.read_key(key) == b"two"


def test_no_space_is_said_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Draft, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Draft, "write", full)
    with pytest.raises(StoreFull, match="No space left"):
        ArtifactStore(tmp_path.as_uri()).put_bytes(b"x")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_check_passes_and_leaves_nothing(tmp_path: Path) -> None:
    ArtifactStore(tmp_path.as_uri()).check()
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_check_says_that_the_store_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError):
        ArtifactStore((tmp_path / "file" / "store").as_uri()).check()


def in_threads(count: int, work: Callable[[], None]) -> None:
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_many_writers_of_the_same_content_agree(store: ArtifactStore) -> None:
    data = os.urandom(100_000)
    uris: list[str] = []
    in_threads(8, lambda: uris.append(store.put_bytes(data)))
    assert len(uris) == 8
    assert {store.get_bytes(uri) for uri in uris} == {data}
