"""Compiled pipelines by content. Writer: api."""

import json
from collections.abc import Iterable, Mapping
from typing import Final

from sqlalchemy import Connection, text

from nodewise.core.model.ids import RunId

# Those that are there are held until the transaction ends, so that retention leaves them to the runs that are about to name them.
# Always in the same order: two submissions of the same two do not wait for each other.
INSERT_SPECS: Final = """
given_specs AS (
SELECT digest, ir, platforms FROM jsonb_to_recordset(CAST(:specs AS jsonb)) AS v(digest text, ir jsonb, platforms jsonb)
),
known AS (SELECT digest FROM pipeline_specs WHERE digest IN (SELECT digest FROM given_specs) ORDER BY digest FOR KEY SHARE),
specs_born AS (
INSERT INTO pipeline_specs (digest, ir, platforms)
SELECT digest, ir, platforms FROM given_specs WHERE digest NOT IN (SELECT digest FROM known) ORDER BY digest ON CONFLICT DO NOTHING
)"""
"""Parts of a WITH. `specs` is JSON: a list of objects, one for each digest."""
_INSERT = text("WITH " + INSERT_SPECS + " SELECT")

_SPECS = text("SELECT digest, ir, platforms FROM pipeline_specs WHERE digest = ANY(:digests)")

_OF_RUN = text("""
SELECT s.ir, s.platforms FROM pipeline_specs AS s JOIN runs AS r ON r.spec_digest = s.digest WHERE r.id = :run_id
""")


def compiled_specs(
    connection: Connection, digests: Iterable[str]
) -> Mapping[str, tuple[Mapping[str, object], Mapping[str, object]]]:
    """The IR and its platforms section by digest."""
    rows = connection.execute(_SPECS, {"digests": sorted(digests)})
    return {row.digest: (row.ir, row.platforms) for row in rows}


def spec_of_run(
    connection: Connection, run_id: RunId
) -> tuple[Mapping[str, object], Mapping[str, object]] | None:
    """The IR of a run and its platforms section; None: there is no such run."""
    row = connection.execute(_OF_RUN, {"run_id": run_id}).one_or_none()
    return None if row is None else (row.ir, row.platforms)


def insert_spec(
    connection: Connection, digest: str, ir: Mapping[str, object], platforms: Mapping[str, object]
) -> None:
    """Keep a compiled pipeline, unless it is there already."""
    spec = {"digest": digest, "ir": ir, "platforms": platforms}
    connection.execute(_INSERT, {"specs": json.dumps([spec])})
