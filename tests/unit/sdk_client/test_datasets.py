"""Measuring and uploading data sets."""

import json
import pickle
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from nodewise.core.model.task import DataKind
from nodewise.sdk import Client
from nodewise.sdk.client import NoSuchFile
from nodewise.sdk.datasets import InvalidDataset, measure
from tests.support.fake_api import FakeApi


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_a_csv_is_counted_and_typed(tmp_path: Path) -> None:
    facts = measure(written(tmp_path / "a.csv", "age,rate,name,ok\n1,0.5,x,true\n2,3,y,false\n,,,\n"))

    assert (facts.samples, facts.features, facts.measured) == (3, 4, True)
    assert facts.types == {"int64": 1, "float64": 1, "string": 1, "bool": 1}
    assert facts.size_bytes == (tmp_path / "a.csv").stat().st_size


def test_a_table_without_header_loses_no_line(tmp_path: Path) -> None:
    facts = measure(written(tmp_path / "a.tsv", "1\ta\n2\tb\n"))

    assert (facts.samples, facts.types) == (2, {"int64": 1, "string": 1})


@pytest.mark.parametrize("text", ["", "\n\n", "a,b\n"])
def test_an_empty_csv_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(InvalidDataset, match=r"a\.csv: holds no samples"):
        measure(written(tmp_path / "a.csv", text))


def test_a_quoted_line_break_is_no_sample(tmp_path: Path) -> None:
    assert measure(written(tmp_path / "a.csv", 'a,b\n"x\ny",1\n')).samples == 1


def test_json_lines_are_counted_and_typed(tmp_path: Path) -> None:
    facts = measure(written(tmp_path / "a.jsonl", '{"a": 1, "b": "x"}\n\n{"a": 1.5, "c": null}\n'))

    assert (facts.samples, facts.features) == (2, 3)
    assert facts.types == {"float64": 1, "string": 2}


def test_broken_json_lines_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidDataset, match=r"a\.jsonl: cannot be read as jsonl"):
        measure(written(tmp_path / "a.jsonl", "{oops\n"))


def test_an_array_is_read_by_its_header(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((10, 4), dtype="float32"))

    facts = measure(tmp_path / "a.npy")

    assert (facts.samples, facts.features, facts.types) == (10, 4, {"float32": 4})
    assert facts.kind is DataKind.TABULAR


def test_arrays_of_images_with_labels_have_classes(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.zeros((9, 8, 8, 3), dtype="uint8"), y=np.arange(9) % 3)

    facts = measure(tmp_path / "a.npz")

    assert (facts.kind, facts.samples, facts.features, facts.classes) == (DataKind.IMAGES, 9, 192, 3)
    assert facts.normalised is False


def test_a_pickle_in_an_array_file_is_not_opened(tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(pickle.dumps([1, 2]))

    with pytest.raises(InvalidDataset):
        measure(tmp_path / "a.npy")


def test_a_parquet_file_is_read_by_its_footer(tmp_path: Path) -> None:
    table = pa.table({"a": [1, 2, 3], "b": [0.5, 1.5, 2.5], "c": ["x", "y", "z"]})
    parquet.write_table(table, tmp_path / "a.parquet")

    facts = measure(tmp_path / "a.parquet")

    assert (facts.samples, facts.features) == (3, 3)
    assert facts.types == {"int64": 1, "float64": 1, "string": 1}


def test_what_is_no_parquet_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidDataset):
        measure(written(tmp_path / "a.parquet", "no"))


def images(folder: Path) -> Path:
    for name in ("cat/1.png", "cat/2.png", "dog/1.jpg"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"12345")
    return folder


def test_a_folder_of_images_has_a_class_for_each_folder(tmp_path: Path) -> None:
    facts = measure(images(tmp_path))

    assert (facts.kind, facts.samples, facts.classes) == (DataKind.IMAGES, 3, 2)
    assert (facts.size_bytes, facts.normalised) == (15, False)


def test_of_anything_else_the_size_is_measured(tmp_path: Path) -> None:
    facts = measure(written(tmp_path / "a.bin", "12345"), kind=DataKind.IMAGES)

    assert (facts.size_bytes, facts.samples, facts.kind) == (5, None, DataKind.IMAGES)


@pytest.fixture
def api() -> FakeApi:
    return FakeApi()


@pytest.fixture
def client(api: FakeApi) -> Iterator[Client]:
    transport = httpx.MockTransport(api.handle)
    with Client("http://api", transport=transport, sleep=lambda _seconds: None) as client:
        yield client


def sent_params(request: httpx.Request) -> dict[str, Any]:
    return dict(request.url.params)


def test_an_upload_carries_the_file_and_what_was_measured(
    tmp_path: Path, api: FakeApi, client: Client
) -> None:
    path = written(tmp_path / "a.csv", "a,b\n1,2\n")

    stored = client.put_dataset("my data", path, classes=5)

    request = api.requests[0]
    assert (request.method, request.url.raw_path.split(b"?")[0]) == ("PUT", b"/v1/datasets/my%20data")
    assert request.content == path.read_bytes()
    assert request.headers["Content-Length"] == str(path.stat().st_size)
    assert sent_params(request) == {
        "kind": "tabular", "samples": "1", "features": "2", "classes": "5", "normalised": "true",
        "types": json.dumps({"int64": 2}),
    }  # fmt: skip
    assert stored["size_bytes"] == path.stat().st_size


def test_an_upload_that_broke_starts_from_the_beginning(tmp_path: Path, api: FakeApi, client: Client) -> None:
    path = written(tmp_path / "a.csv", "a,b\n1,2\n")
    api.faults = [httpx.ReadError("cut")]

    client.put_dataset("a", path)

    assert [request.content for request in api.requests] == [path.read_bytes()] * 2


def test_a_folder_travels_as_the_same_tar_each_time(tmp_path: Path, api: FakeApi, client: Client) -> None:
    folder = images(tmp_path / "pets")
    client.put_dataset("pets", folder)
    (folder / "cat/1.png").touch()
    client.put_dataset("pets", folder)

    first, second = (request.content for request in api.requests)
    assert first == second
    (tmp_path / "pets.tar").write_bytes(first)
    with tarfile.open(tmp_path / "pets.tar") as tar:
        assert tar.getnames() == ["cat/1.png", "cat/2.png", "dog/1.jpg"]


def test_a_path_that_is_not_there_is_named(tmp_path: Path, client: Client) -> None:
    with pytest.raises(NoSuchFile, match="nowhere"):
        client.put_dataset("a", tmp_path / "nowhere")


def test_a_kind_that_is_none_is_refused_with_the_known_ones(tmp_path: Path, client: Client) -> None:
    with pytest.raises(ValueError, match="tabular, images"):
        client.put_dataset("a", written(tmp_path / "a.csv", "1"), kind="sound")
