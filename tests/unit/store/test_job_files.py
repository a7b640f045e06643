"""Jobs that are written together share files; each is read by its own address, and only as the attempt that it is of."""

import json
import uuid
from collections.abc import Sequence
from datetime import timedelta

import pytest

from nodewise.core.codec import encode
from nodewise.core.errors import ArtifactMissing, JobUnreadable, StoreError
from nodewise.core.jobfiles import FILE_BYTES, read_job, write_jobs
from nodewise.core.model.artifact import ArtifactRef, Values
from nodewise.core.model.component import ContainerWork, PythonWork, Text
from nodewise.core.model.ids import AttemptKey, TaskPath
from nodewise.core.model.job import Job
from nodewise.core.store import ArtifactStore
from tests.support.builders import run_id

AWKWARD = {
    "lines": "a\nb\r\nc\u2028d",
    "quote": '"}\n{"',
    "large": 10**30,
    "small": 0.1,
    "none": None,
    "deep": [[{"x": []}]],
}


@pytest.fixture
def store() -> ArtifactStore:
    return ArtifactStore(f"memory://{uuid.uuid4().hex}")


def key(path: str) -> AttemptKey:
    return AttemptKey(run_id=run_id(), path=TaskPath(path), attempt=1)


def job(path: str, source: str = "def f(): pass") -> Job:
    return Job(
        key=key(path),
        run_name="a run\nof two lines",
        component=path,
        work=PythonWork(source=source, function="f"),
        inputs=Values(
            parameters=AWKWARD,
            artifacts={"in": (ArtifactRef(name="in", uri="store://file/x", metadata=AWKWARD),)},
        ),
        timeout=timedelta(seconds=90),
    )


def files(uris: Sequence[str]) -> list[str]:
    """The files of these addresses, in order, each once."""
    return list(dict.fromkeys(uri.partition("#")[0] for uri in uris))


def test_jobs_written_together_lie_in_one_file_and_each_is_read_as_it_was(store: ArtifactStore) -> None:
    image = Job(
        key=key("c"), run_name="r", component="c", work=ContainerWork(image="i", args=(Text(text="#1"),))
    )
    jobs = [job("a"), job("b", "def f():\n    return 1\n"), image]
    uris = write_jobs(store, jobs)
    assert [uri.partition("#")[2] for uri in uris.values()] == ["1", "2", "3"]
    assert len(files(list(uris.values()))) == 1
    assert [read_job(store, uris[one.key], one.key) for one in jobs] == jobs


def test_a_job_that_is_alone_has_the_address_of_its_file_and_reads_as_it_did_before(
    store: ArtifactStore,
) -> None:
    [uri] = write_jobs(store, [job("a")]).values()
    assert "#" not in uri
    # What an agent of an earlier release makes of it.
    assert json.loads(store.get_bytes(uri)) == encode(job("a"))
    assert read_job(store, uri) == job("a")


def test_a_job_that_an_earlier_release_wrote_is_read(store: ArtifactStore) -> None:
    uri = store.put_bytes(json.dumps(encode(job("a")), sort_keys=True).encode())
    assert read_job(store, uri, key("a")) == job("a")


def test_a_file_of_several_jobs_stays_small_and_a_large_job_is_alone(store: ArtifactStore) -> None:
    small = [job(f"t{number}", "x" * (FILE_BYTES // 10)) for number in range(25)]
    jobs = [*small[:5], job("large", "x" * 2 * FILE_BYTES), *small[5:]]
    uris = write_jobs(store, jobs)
    found = files(list(uris.values()))
    sizes = [len(store.get_bytes(file)) for file in found]
    assert len(found) <= 6
    assert [size for size in sizes if size > FILE_BYTES] == [len(store.get_bytes(uris[key("large")]))]
    assert [read_job(store, uris[one.key], one.key) for one in jobs] == jobs


def test_the_same_jobs_are_stored_once(store: ArtifactStore) -> None:
    assert write_jobs(store, [job("a"), job("b")]) == write_jobs(store, [job("a"), job("b")])


def test_no_jobs_are_no_files(store: ArtifactStore) -> None:
    assert write_jobs(store, []) == {}


def test_the_job_of_another_attempt_is_refused(store: ArtifactStore) -> None:
    uris = write_jobs(store, [job("a"), job("b")])
    with pytest.raises(JobUnreadable, match=r"/b#1$"):
        read_job(store, uris[key("b")], key("a"))


@pytest.mark.parametrize("line", ["0", "3", "-1", "x", "1#1"])
def test_a_line_that_is_none_is_refused(store: ArtifactStore, line: str) -> None:
    uri = write_jobs(store, [job("a"), job("b")])[key("a")].partition("#")[0]
    with pytest.raises(JobUnreadable, match=r"^the job cannot be read: there is nothing at store://file/"):
        read_job(store, f"{uri}#{line}")


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'{"key": "nonsense"}', b"\xff"])
def test_what_is_no_job_is_refused_in_one_line(store: ArtifactStore, content: bytes) -> None:
    with pytest.raises(JobUnreadable, match=r"^the job cannot be read: ") as refused:
        read_job(store, store.put_bytes(content))
    assert "\n" not in str(refused.value)


def test_what_is_missing_or_no_address_is_told_apart_from_what_cannot_be_read(store: ArtifactStore) -> None:
    with pytest.raises(ArtifactMissing):
        read_job(store, f"store://file/{'0' * 64}#2")
    with pytest.raises(StoreError, match="not an address"):
        read_job(store, "#1")
