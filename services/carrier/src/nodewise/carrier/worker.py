"""Wiring: the process from its start to its end."""

import threading
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime

import redis
import structlog

from nodewise.agent.joining import broker_client, wait_for_cluster
from nodewise.agent.reception import Reception
from nodewise.carrier.api import KubernetesApi
from nodewise.carrier.carrier import Carrier, Surroundings
from nodewise.carrier.cluster import Cluster
from nodewise.carrier.events import Inbox
from nodewise.carrier.intake import Intake
from nodewise.carrier.loop import Loop, Watcher
from nodewise.carrier.making import Maker
from nodewise.carrier.manifests import Pods
from nodewise.carrier.podlogs import PodLogs
from nodewise.carrier.pulse import Pulse
from nodewise.carrier.remains import Leavings
from nodewise.carrier.tenure import Names
from nodewise.core.engine.kubeflow.configured import kubernetes_connection
from nodewise.core.errors import NodewiseError
from nodewise.core.messaging.app import create_app
from nodewise.core.messaging.trust import Trust, trust_of_carrier
from nodewise.core.model.ids import NodeName
from nodewise.core.nodekeys import BadKey
from nodewise.core.process import asked_to_end
from nodewise.core.settings import Settings
from nodewise.core.store import ArtifactStore
from nodewise.core.store.marker import cluster_id, marker_of
from nodewise.core.telemetry import configure_logging, serve_metrics

_log = structlog.get_logger()


class NotConfigured(NodewiseError):
    """A setting is missing without which there can be no carrier."""


def main(settings: Settings) -> None:
    """Be the carrier of a cluster until SIGTERM. Jobs go on without it.

    Raises:
        NotConfigured: No image is named.
        CannotJoin: The broker or the store does not take us.
    """
    stopped = asked_to_end()
    configure_logging(settings, "carrier")
    if settings.kubernetes_image is None:
        raise NotConfigured(
            "NODEWISE_KUBERNETES_IMAGE is missing: the agent's image, as the cluster can fetch it"
        )
    trust = _trust(settings)
    store = ArtifactStore(settings.store_url)
    serve_metrics(settings)
    with broker_client(settings.redis_url) as client:
        wait_for_cluster(store, client)
        _work(settings, store, client, stopped=stopped, trust=trust)


def _trust(settings: Settings) -> Trust:
    try:
        return trust_of_carrier(settings)
    except BadKey as error:
        raise NotConfigured(str(error)) from error


def _work(
    settings: Settings, store: ArtifactStore, client: "redis.Redis", *, stopped: threading.Event, trust: Trust
) -> None:
    boot_id = str(uuid.uuid4())
    known = marker_of(store) or cluster_id(client) or "unmarked"
    api = KubernetesApi(kubernetes_connection(settings), settings.kubernetes_namespace)
    app = create_app("carrier", settings)
    inbox, held = Inbox(), Names(client, boot_id=boot_id)
    pulse = Pulse(app, boot_id=boot_id, every_seconds=settings.heartbeat_seconds, seal=trust.seal)
    intake = Intake(app, inbox.put, Reception(trust.opens))
    logs = PodLogs(api, store, limit_mib=settings.max_log_mib)

    def hold(nodes: Iterable[NodeName]) -> frozenset[NodeName]:
        ours = held.take(nodes)
        intake.listen(ours)
        return ours

    carrier = Carrier(
        Surroundings(
            api=api, cluster=Cluster(api, settings, cluster=known), maker=Maker(api, _pods(settings, api, known), store),
            leavings=Leavings(store), logs=logs, inbox=inbox, publish=pulse.publish, hold=hold, clock=_now,
            settings=settings, id=known,
        )
    )  # fmt: skip
    loop = Loop(carrier, inbox, every_seconds=settings.kubernetes_poll_seconds)
    watcher = Watcher(api, inbox, cluster=known)
    for part in (logs, pulse, intake, watcher, loop):
        part.start()
    _log.info("carrying", namespace=api.namespace, cluster=known)
    stopped.wait()
    for ending in (watcher, intake, loop, pulse, logs):
        ending.stop()
    held.release()
    api.close()


def _pods(settings: Settings, api: KubernetesApi, cluster: str) -> Pods:
    assert settings.kubernetes_image is not None  # noqa: S101 - seen to in `main`
    return Pods(cluster=cluster, namespace=api.namespace, image=settings.kubernetes_image, settings=settings)


def _now() -> datetime:
    return datetime.now(UTC)
