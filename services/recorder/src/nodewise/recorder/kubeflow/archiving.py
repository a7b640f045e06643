"""Puts away in KFP what was put away here, and takes back what was taken back."""

from typing import Final

import structlog
from sqlalchemy import Engine

from nodewise.core.db.engine import transaction
from nodewise.core.db.queries import ended_runs as queries
from nodewise.core.db.queries.ended_runs import ToArchive
from nodewise.core.engine.kubeflow.engine import KubeflowEngine
from nodewise.core.engine.kubeflow.errors import KfpRefused, KfpUnauthorized

RUNS_PER_LOOK: Final = 50
_log = structlog.get_logger()


def tell_kfp(database: Engine, kubeflow: KubeflowEngine) -> None:
    """Tell KFP of some of the runs of which it does not know yet. May be done again after anything that went wrong.

    Raises:
        KfpUnavailable, KfpUnauthorized: The rest waits for the next look.
    """
    with transaction(database) as connection:
        waiting = queries.runs_to_archive(connection, limit=RUNS_PER_LOOK)
    for one in waiting:
        _tell(kubeflow, one)
        with transaction(database) as connection:
            queries.note_told(connection, one)


def _tell(kubeflow: KubeflowEngine, one: ToArchive) -> None:
    try:
        kubeflow.archive(one.run_id, archived=one.archived)
    except KfpUnauthorized:
        raise
    except KfpRefused as error:
        # Asking again would not help, and what is shown here does not depend on it.
        _log.warning(
            "KFP will not put a run away", run_id=one.run_id, archived=one.archived, problem=str(error)
        )
