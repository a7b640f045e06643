"""How keys are looked up while somebody sends many that do not exist."""

import asyncio
import threading
from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine, create_engine

from nodewise.api.auth.keyring import MOST_STRANGERS, REMEMBERED_SECONDS, Keyring, TooManyStrangers
from nodewise.core.db.queries.api_keys import ApiKey
from nodewise.core.model.role import Role
from tests.support.waiting import wait_until

NOW = datetime(2030, 1, 1, tzinfo=UTC)
NOWHERE = create_engine("postgresql+psycopg://nobody@127.0.0.1:1/none")
HOLDER = ApiKey(id="holder", name="holder", role=Role.VIEWER, team="a", secret_hash=b"", created_at=NOW)


class Slow(Keyring):
    """Whose database has one key, and answers for any other id only when it is told to."""

    def __init__(self) -> None:
        self.time = 0.0
        super().__init__(clock=lambda: self.time)
        self.answers = threading.Event()
        self.asked: list[str] = []

    def _ask(self, key_id: str, engine: Engine, *, now: datetime) -> ApiKey | None:
        self.asked.append(key_id)
        if key_id == HOLDER.id:
            return HOLDER
        self.answers.wait(30)
        return None


async def find(keyring: Keyring, key_id: str) -> ApiKey | None:
    return await keyring.find(key_id, NOWHERE, now=NOW)


async def flood(keyring: Slow, number: int) -> list["asyncio.Task[ApiKey | None]"]:
    made = [asyncio.create_task(find(keyring, f"made-up-{index}")) for index in range(number)]
    await asyncio.to_thread(wait_until, lambda: len(keyring.asked) >= 2, 10, "two lookups to wait")
    return made


def test_who_was_found_before_does_not_wait_for_strangers() -> None:
    async def scenario() -> None:
        keyring = Slow()
        assert await find(keyring, HOLDER.id) == HOLDER
        keyring.asked.clear()
        strangers = await flood(keyring, MOST_STRANGERS)
        keyring.time += REMEMBERED_SECONDS
        assert await asyncio.wait_for(find(keyring, HOLDER.id), 10) == HOLDER
        assert keyring.asked.count(HOLDER.id) == 1
        assert not any(task.done() for task in strangers)
        keyring.answers.set()
        assert set(await asyncio.gather(*strangers)) == {None}

    asyncio.run(scenario())


def test_so_many_strangers_wait_and_no_more() -> None:
    async def scenario() -> None:
        keyring = Slow()
        strangers = await flood(keyring, MOST_STRANGERS + 2)
        with pytest.raises(TooManyStrangers):
            await find(keyring, HOLDER.id)
        keyring.answers.set()
        await asyncio.gather(*strangers)
        assert await find(keyring, HOLDER.id) == HOLDER

    asyncio.run(scenario())


def test_a_key_that_does_not_exist_is_not_looked_up_again_at_once() -> None:
    async def scenario() -> None:
        keyring = Slow()
        keyring.answers.set()
        for _ in range(3):
            assert await find(keyring, "made-up") is None
        assert keyring.asked == ["made-up"]
        keyring.time += REMEMBERED_SECONDS
        assert await find(keyring, "made-up") is None
        assert keyring.asked == ["made-up"] * 2

    asyncio.run(scenario())
