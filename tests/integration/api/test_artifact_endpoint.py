"""Taking home what a task left."""

import io
import tarfile
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine

from nodewise.core.codec import encode
from nodewise.core.model.artifact import ArtifactRef, TaskOutputs
from tests.integration.api.conftest import Api
from tests.support.rows import insert_run, insert_task

SOME_ID = "0b8d5a0e-6a1f-4c1e-9d53-2f6f6f1c7a11"
BIG = bytes(range(256)) * 10_000
"""More than two blocks of a stream."""


def left(engine: Engine, uri: str) -> str:
    """The address of an artifact `model` of a task that ended well."""
    outputs = TaskOutputs(artifacts={"model": ArtifactRef(name="model", uri=uri)})
    with engine.begin() as connection:
        run_id = insert_run(connection)
        insert_task(connection, run_id, "train", outputs=encode(outputs))
    return f"/v1/runs/{run_id}/tasks/train/artifacts/model"


@pytest.mark.parametrize("content", [b"", b"weights", BIG])
def test_a_file_comes_as_it_is(api: Api, engine: Engine, content: bytes) -> None:
    answer = api.http.get(left(engine, api.services.store.put_bytes(content)))
    assert (answer.status_code, answer.content) == (200, content)
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-length"] == str(len(content))
    assert answer.headers["content-disposition"] == "attachment; filename*=UTF-8''model"


def test_a_directory_comes_as_a_tar(api: Api, engine: Engine, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    (folder / "empty").mkdir(parents=True)
    (folder / ("long" * 40)).mkdir()
    (folder / ("long" * 40) / "ü.bin").write_bytes(BIG)
    (folder / "a.txt").write_text("a")
    (folder / "b.txt").symlink_to("a.txt")
    uri, _ = api.services.store.put_path(folder)
    answer = api.http.get(left(engine, uri))
    assert answer.headers["content-type"] == "application/x-tar"
    assert answer.headers["content-length"] == str(len(answer.content))
    assert answer.headers["content-disposition"].endswith("''model.tar")
    with tarfile.open(fileobj=io.BytesIO(answer.content)) as tar:
        tar.extractall(tmp_path / "out", filter="data")
    assert (tmp_path / "out" / ("long" * 40) / "ü.bin").read_bytes() == BIG
    assert (tmp_path / "out" / "b.txt").read_text() == "a"
    assert (tmp_path / "out" / "empty").is_dir()


def test_what_is_not_there_is_not_found(api: Api, engine: Engine) -> None:
    url = left(engine, "store://file/" + "0" * 64)
    assert "store://file/000" in api.refused(api.http.get(url), 404)["detail"]
    assert "/train/data" in api.refused(api.http.get(url.replace("/model", "/data")), 404)["detail"]
    assert "no task" in api.refused(api.http.get(url.replace("/train/", "/fit/")), 404)["detail"]
    api.refused(api.http.get(f"/v1/runs/{SOME_ID}/tasks/train/artifacts/model"), 404)


def test_a_task_that_left_nothing_yet_has_no_artifact(api: Api) -> None:
    run: dict[str, Any] = api.accepted()
    api.refused(api.http.get(f"/v1/runs/{run['id']}/tasks/train/artifacts/model"), 404)


def test_what_the_task_put_elsewhere_is_named(api: Api, engine: Engine) -> None:
    problem = api.refused(api.http.get(left(engine, "s3://bucket/model.pkl")), 409)
    assert "s3://bucket/model.pkl" in problem["detail"]


def test_a_tree_that_lacks_a_file_is_not_found(api: Api, engine: Engine, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "a.txt").write_text("a")
    uri, _ = api.services.store.put_path(folder)
    root = Path(api.services.store.url.removeprefix("file://"))
    for file in (root / "file").rglob("*"):
        if file.is_file():
            file.unlink()
    api.refused(api.http.get(left(engine, uri)), 404)


def test_what_was_changed_in_the_store_does_not_arrive_whole(api: Api, engine: Engine) -> None:
    url = left(engine, api.services.store.put_bytes(BIG))
    root = Path(api.services.store.url.removeprefix("file://"))
    [file] = [path for path in (root / "file").rglob("*") if path.is_file()]
    file.chmod(0o644)
    file.write_bytes(BIG[:-1] + b"x")

    with pytest.raises(httpx.RemoteProtocolError):
        api.http.get(url)
