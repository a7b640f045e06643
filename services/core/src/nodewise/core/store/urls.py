"""What may be the address of a store."""

from urllib.parse import urlsplit

from fsspec import available_protocols

from nodewise.core.errors import StoreError


def checked_url(url: str) -> str:
    """The URL, if it can be that of a store; nothing is opened.

    Raises:
        StoreError: It has no scheme, or one that nothing here understands. A path without one would be taken for a
            folder of wherever the process happens to run.
    """
    scheme, separator, rest = url.partition("://")
    if not separator or not rest:
        raise StoreError(f"the store {url!r} is no URL: write file:///folder, s3://bucket/folder or the like")
    if scheme.rpartition("::")[2] not in available_protocols():
        raise StoreError(f"the store {url!r} is of a kind that is not known: {scheme}")
    if scheme == "file" and urlsplit(url).netloc:
        raise StoreError(f"the store {url!r} names a host: write file:///folder, with three slashes")
    return url
