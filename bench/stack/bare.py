"""The peer of part a: the least that a gateway can do, a row per request, committed before the answer.

`uvicorn bench.stack.bare:app`; the database is that of NODEWISE_DATABASE_URL.
"""

import os
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from psycopg.types.json import Jsonb
from psycopg_pool import ConnectionPool

CONNECTIONS = 10
pool = ConnectionPool(
    os.environ["NODEWISE_DATABASE_URL"], min_size=CONNECTIONS, max_size=CONNECTIONS, open=False
)


@asynccontextmanager
async def _connected(_: FastAPI) -> AsyncIterator[None]:
    with pool:
        with pool.connection() as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS bare (id uuid PRIMARY KEY, body jsonb NOT NULL)")
        yield


app = FastAPI(lifespan=_connected)


@app.post("/v1/runs", status_code=202)
def submit(body: dict[str, object]) -> dict[str, str]:
    """One row."""
    found = uuid.uuid4()
    with pool.connection() as connection:
        connection.execute("INSERT INTO bare VALUES (%s, %s)", (found, Jsonb(body)))
    return {"id": str(found)}


@app.get("/readyz")
def ready() -> None:
    """For who waits for it."""
