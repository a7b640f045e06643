"""Inputs whose content lies outside the store: fetched where that can be, else handed on, and the log says why."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.registry import _registry, register_implementation

from nodewise.agent.cache import ArtifactCache
from nodewise.agent.folder import AttemptFolder
from nodewise.agent.staging import Staged, stage
from nodewise.core.errors import ArtifactMissing, StoreError
from nodewise.core.model.artifact import ArtifactRef
from nodewise.core.store import ArtifactStore
from tests.support.agents import job

STEP = "def step(data):\n    pass\n"


class Bucket(MemoryFileSystem):
    """An object store in memory, in the place of S3's."""

    protocol = "s3"
    store: dict[str, Any] = {}  # noqa: RUF012 - as fsspec has it
    pseudo_dirs: list[str] = [""]  # noqa: RUF012

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        stripped: str = super()._strip_protocol(path.removeprefix("s3://"))
        return stripped


class Broken(Bucket):
    def isdir(self, path: str) -> bool:
        raise RuntimeError("no credentials")


@pytest.fixture
def bucket() -> Iterator[Bucket]:
    register_implementation("s3", Bucket, clobber=True)
    Bucket.clear_instance_cache()
    found = Bucket()
    found.pipe({"/b/data.csv": b"a,b\n1,2\n", "/b/folder/x": b"x", "/b/folder/deep/y": b"y"})
    yield found
    found.store.clear()
    _registry.pop("s3")


def staged(tmp_path: Path, uri: str) -> tuple[Staged, str]:
    """The staged job, and the address that its function would see."""
    cache = ArtifactCache(ArtifactStore((tmp_path / "store").as_uri()), tmp_path / "cache", limit_mib=9)
    folder = AttemptFolder(tmp_path / "attempt")
    folder.create()
    ref = ArtifactRef(name="data", uri=uri, schema_title="system.Dataset")
    found = stage(job(STEP, inputs={"data": ref}), folder, cache, cores=())
    inputs: Any = found.launched.executor_input["inputs"]
    return found, inputs["artifacts"]["data"]["artifacts"][0]["uri"]


def test_an_object_is_fetched(bucket: Bucket, tmp_path: Path) -> None:
    found, uri = staged(tmp_path, "s3://b/data.csv")
    assert Path(uri).read_bytes() == b"a,b\n1,2\n"
    assert found.notes == ()


def test_all_below_a_prefix_is_fetched(bucket: Bucket, tmp_path: Path) -> None:
    _, uri = staged(tmp_path, "s3://b/folder")
    files = {str(path.relative_to(uri)): path.read_text() for path in Path(uri).rglob("*") if path.is_file()}
    assert files == {"x": "x", "deep/y": "y"}


def test_an_object_whose_name_leads_out_is_refused(bucket: Bucket, tmp_path: Path) -> None:
    bucket.store["/b/evil/../../../../out"] = bucket.store["/b/data.csv"]
    found = bucket.find("s3://b")
    assert "/b/evil/../../../../out" in found
    with pytest.raises(StoreError, match="leads out of it"):
        staged(tmp_path, "s3://b/evil")
    assert not list(tmp_path.rglob("out"))


def test_what_stands_behind_colons_chooses_no_other_file_system(bucket: Bucket, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    with pytest.raises(ArtifactMissing):
        staged(tmp_path, f"s3://b::file://{secret}")


def test_what_is_not_there_is_missing(bucket: Bucket, tmp_path: Path) -> None:
    with pytest.raises(ArtifactMissing, match="s3://b/none"):
        staged(tmp_path, "s3://b/none")


def test_what_a_package_of_an_object_store_raises_says_which_address(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Bucket, "isdir", Broken.isdir)
    with pytest.raises(StoreError, match=r"s3://b/data\.csv cannot be fetched: RuntimeError: no credentials"):
        staged(tmp_path, "s3://b/data.csv")


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("s3://b/data.csv", "s3fs is not installed on this node"),
        ("gs://b/data.csv", "gcsfs is not installed on this node"),
        ("bigquery://p/d/t", "addresses of this kind are handed on as they are"),
        ("simplecache::file:///etc/passwd", "addresses of this kind are handed on as they are"),
    ],
)
def test_what_is_not_fetched_is_handed_on_and_the_log_says_why(tmp_path: Path, uri: str, reason: str) -> None:
    found, seen = staged(tmp_path, uri)
    assert seen == uri
    assert found.notes == (f"the artifact 'data' stays at {uri}, its path leads to no file: {reason}",)


@pytest.mark.parametrize("uri", ["file:///data/x.csv", "/data/x.csv"])
def test_a_path_of_the_node_is_the_tasks_to_read(tmp_path: Path, uri: str) -> None:
    found, seen = staged(tmp_path, uri)
    assert (seen, found.notes) == ("/data/x.csv", ())
