"""The documentation pages load nothing from elsewhere."""

import re

import pytest

from tests.integration.api.conftest import Api


@pytest.mark.parametrize("page", ["/docs", "/redoc"])
def test_a_page_loads_only_what_is_served_here(api: Api, page: str) -> None:
    answer = api.http.get(page)
    assert answer.status_code == 200
    loaded = re.findall(r"""(?:src|href|spec-url|url)(?:=|: )["']([^"']+)["']""", answer.text)
    assert "/openapi.json" in loaded
    assert any(address.endswith(".js") for address in loaded)
    for address in loaded:
        assert address.startswith("/")
        asset = api.http.get(address)
        assert (asset.status_code, len(asset.content) > 500) == (200, True)


@pytest.mark.parametrize("path", ["nothing.js", "..%2fcore.py", "%2e%2e/core.py", ""])
def test_nothing_else_is_served_beside_them(api: Api, path: str) -> None:
    api.refused(api.http.get(f"/docs/assets/{path}"), 404)
