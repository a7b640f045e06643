"""Makes sure that KFP gets each bound run, once, however often it is asked."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog
from prometheus_client import Counter
from sqlalchemy import Engine

from nodewise.core.db.engine import transaction
from nodewise.core.db.queries import kubeflow as queries
from nodewise.core.db.queries.kubeflow import DueSubmission
from nodewise.core.db.queries.nodes_read import all_nodes
from nodewise.core.engine.kubeflow.engine import KubeflowEngine
from nodewise.core.engine.kubeflow.errors import (
    KfpRefused,
    KfpUnauthorized,
    KfpUnavailable,
    PlacementConflict,
    SubmissionUncertain,
)
from nodewise.core.engine.kubeflow.nodes import KubernetesNode, of_node
from nodewise.core.engine.kubeflow.reading import sections
from nodewise.core.engine.kubeflow.submission import Submission
from nodewise.core.errors import InvalidPipeline, UnknownName
from nodewise.core.model.decision import Reason, ReasonCode
from nodewise.core.model.ids import NodeName
from nodewise.core.settings import Settings

HOLD: Final = timedelta(seconds=10)
"""Another placer takes a submission up after so long: its protocol bears several at once, this only saves questions."""
_BATCH: Final = 20
_LONGEST_PAUSE: Final = 60.0
_UNAUTHORIZED_PAUSE: Final = timedelta(seconds=30)
"""Only an operator can cure it."""
_LONGEST_TEXT: Final = 2000

_SUBMITTED = Counter(
    "nodewise_kfp_submissions_total", "Tries to submit a run to KFP, by outcome.", ["outcome"]
)
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitter:
    """Hands bound runs to KFP. `refused_soon` asks the recorder to look at what KFP refused."""

    engine: Engine
    kubeflow: KubeflowEngine
    settings: Settings
    clock: Callable[[], datetime]
    refused_soon: Callable[[], None]

    def look(self) -> bool:
        """Submit what is due; True when there may be more to do right now."""
        with transaction(self.engine) as connection:
            due = queries.claim_due(connection, now=self.clock(), hold=HOLD, limit=_BATCH)
            nodes = {row.view.name: of_node(row.view.node) for row in all_nodes(connection)} if due else {}
        for index, one in enumerate(due):
            outcome = self._submit(one, nodes)
            _SUBMITTED.labels(outcome).inc()
            if outcome == "unavailable":
                self._put_off(due[index + 1 :], after=one)
                return False
        return len(due) == _BATCH

    def _put_off(self, others: Sequence[DueSubmission], *, after: DueSubmission) -> None:
        """Whoever does not answer once does not answer the others either."""
        why = Reason(
            code=ReasonCode.KFP_UNAVAILABLE, text=f"KFP does not answer (asked for run {after.run_id})"
        )
        for one in others:
            self._postpone(one, why, self.clock() + _pause(one.tries))

    def _submit(self, one: DueSubmission, nodes: Mapping[NodeName, KubernetesNode]) -> str:
        chosen = {path: [nodes[name] for name in names] for path, names in one.nodes.items()}
        try:
            self.kubeflow.start(self._submission(one), chosen, caching=one.caching)
        except SubmissionUncertain as error:
            self._postpone(one, None, error.until)
            return "uncertain"
        except KfpUnavailable as error:
            why = Reason(code=ReasonCode.KFP_UNAVAILABLE, text=f"KFP does not answer: {error.problem}")
            self._postpone(one, why, self.clock() + _pause(one.tries))
            _log.warning("KFP does not answer", run_id=one.run_id, problem=error.problem, tries=one.tries)
            return "unavailable"
        except KfpUnauthorized as error:
            why = Reason(code=ReasonCode.KFP_UNAUTHORIZED, text=str(error)[:_LONGEST_TEXT])
            self._postpone(one, why, self.clock() + _UNAUTHORIZED_PAUSE)
            _log.error("KFP does not let us in", run_id=one.run_id, problem=str(error))
            return "unauthorized"
        except (KfpRefused, PlacementConflict, InvalidPipeline, UnknownName) as error:
            self._refuse(one, error)
            return "refused"
        _log.info("KFP has the run", run_id=one.run_id)
        return "submitted"

    def _submission(self, one: DueSubmission) -> Submission:
        return Submission(
            run_id=one.run_id,
            name=one.name,
            ir=one.ir,
            platforms=sections(one.platforms),
            parameters={name: value for name, value in one.parameters.items() if value is not None},
            experiment_id=self.settings.kfp_experiment_id,
            service_account=self.settings.kfp_service_account,
            pipeline_root=self.settings.kfp_pipeline_root,
        )

    def _postpone(self, one: DueSubmission, why: Reason | None, until: datetime) -> None:
        with transaction(self.engine) as connection:
            queries.postpone(connection, one.run_id, why, try_at=until)

    def _refuse(self, one: DueSubmission, error: Exception) -> None:
        code = ReasonCode.KFP_REFUSED if isinstance(error, KfpRefused) else ReasonCode.PLACEMENT_CONFLICT
        why = Reason(code=code, text=str(error).replace("\x00", "")[:_LONGEST_TEXT])
        with transaction(self.engine) as connection:
            queries.refuse(connection, one.run_id, why, at=self.clock())
        _log.warning("KFP will not have a run", run_id=one.run_id, problem=why.text)
        self.refused_soon()


def _pause(tries: int) -> timedelta:
    """A second after the first try in vain, then longer and longer."""
    return timedelta(seconds=min(2.0 ** min(tries, 10), _LONGEST_PAUSE))
