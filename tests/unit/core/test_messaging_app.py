"""What every service takes from the broker."""

import pytest
from kombu import compression
from kombu.message import Message

from nodewise.core.messaging.app import create_app
from nodewise.core.settings import Settings

BOMB = b"0" * 1_000_000


@pytest.mark.parametrize("method", compression.encoders())
def test_a_compressed_message_is_not_unpacked(method: str) -> None:
    create_app("test", Settings(redis_url="memory://")).close()
    packed, _ = compression.compress(BOMB, method)
    message = Message(body=packed, headers={"compression": method})
    assert message.body == packed
    with pytest.raises(ValueError, match="compressed"):
        message._reraise_error()


@pytest.mark.parametrize("alias", ["gzip", "zlib", "bzip2", "lzma"])
def test_nor_under_another_name(alias: str) -> None:
    create_app("test", Settings(redis_url="memory://")).close()
    packed, _ = compression.compress(BOMB, alias)
    assert Message(body=packed, headers={"compression": alias}).body == packed
