"""The command line against a fake API on a loopback port."""

from collections.abc import Callable, Iterator

import pytest
from typer.testing import CliRunner, Result

from nodewise.sdk.cli.app import app
from tests.support.fake_api import FakeApi, served


@pytest.fixture
def api() -> FakeApi:
    """One with nothing in it; a module may have another."""
    return FakeApi()


@pytest.fixture
def cli(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Result]]:
    """Calls `nodewise` with these words, with `api` as its gateway."""
    monkeypatch.delenv("NODEWISE_DEBUG", raising=False)
    with served(api) as url:
        monkeypatch.setenv("NODEWISE_URL", url)
        yield lambda *arguments: CliRunner().invoke(app, list(arguments))
