import pytest

from nodewise.core.errors import StoreError
from nodewise.core.store import checked_url


@pytest.mark.parametrize("url", ["file:///srv/store", "memory://x", "s3://bucket/folder"])
def test_urls_of_stores_are_taken_as_they_are(url: str) -> None:
    assert checked_url(url) == url


@pytest.mark.parametrize(
    "url", ["", "nonsense", "/srv/store", "./store", "file://", "odd://x", "file://srv/store"]
)
def test_anything_else_is_refused_in_one_line(url: str) -> None:
    with pytest.raises(StoreError, match="the store") as refused:
        checked_url(url)
    assert "\n" not in str(refused.value)
