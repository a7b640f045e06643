"""Artifacts on their way here."""

from pathlib import Path

import httpx
import pytest

from nodewise.sdk import Client
from nodewise.sdk.client.errors import ApiError, NotReachable
from tests.support.fake_api import FakeApi, problem


@pytest.fixture
def api() -> FakeApi:
    api = FakeApi()
    api.add_run("r")
    api.contents["tasks/fit/artifacts/model"] = b"weights"
    return api


@pytest.fixture
def client(api: FakeApi) -> Client:
    transport = httpx.MockTransport(api.handle)
    return Client("http://api", transport=transport, sleep=lambda _: None, retries=2)


def test_it_replaces_a_file_or_goes_into_a_folder(client: Client, tmp_path: Path) -> None:
    (tmp_path / "old").write_text("old")
    run = client.get("r")
    assert run.artifact("fit", "model", tmp_path / "old") == tmp_path / "old"
    assert (tmp_path / "old").read_bytes() == b"weights"
    assert run.artifact("fit", "model", tmp_path) == tmp_path / "model"


def test_a_fault_that_passes_is_survived(api: FakeApi, client: Client, tmp_path: Path) -> None:
    api.faults = [problem(503, "Service Unavailable"), httpx.ReadError("cut")]
    assert client.artifact("r", "fit", "model", tmp_path).read_bytes() == b"weights"


def test_a_fault_that_stays_leaves_nothing(api: FakeApi, client: Client, tmp_path: Path) -> None:
    api.faults = [httpx.ReadError("cut")] * 3
    with pytest.raises(NotReachable, match="cut"):
        client.artifact("r", "fit", "model", tmp_path)
    with pytest.raises(ApiError, match="there is no artifact"):
        client.artifact("r", "fit", "nothing", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_name_from_the_api_is_never_a_path(api: FakeApi, client: Client, tmp_path: Path) -> None:
    headers = {"Content-Disposition": "attachment; filename*=UTF-8''..%2F..%2Fetc"}
    api.faults = [httpx.Response(200, content=b"x", headers=headers)]
    assert client.artifact("r", "fit", "model", tmp_path) == tmp_path / "etc"
