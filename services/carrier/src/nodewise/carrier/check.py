"""Whether a carrier could work: what `nodewise doctor` and `python -m nodewise.carrier check` say. Nothing is changed anywhere."""

from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from nodewise.carrier.api import KubernetesApi, Refused
from nodewise.core.engine.kubeflow.configured import kubernetes_connection
from nodewise.core.engine.kubeflow.nodes import read_node
from nodewise.core.errors import Unavailable
from nodewise.core.findings import Finding, fail, ok, warn
from nodewise.core.model.engines import KUBERNETES
from nodewise.core.settings import Settings, read_settings

_SUBJECT: Final = "kubernetes"
IN_NAMESPACE: Final = (
    ("batch", "jobs", ("create", "list", "patch", "delete")),
    ("", "pods", ("list", "watch")),
    ("", "pods/log", ("get",)),
)
EVERYWHERE: Final = (("", "nodes", ("list",)),)
OTHERS: Final = ("", "pods", "list")
"""In all namespaces: what the pods of others use."""
_APPLY: Final = "apply deploy/kubernetes/carrier/rights.yaml for its account"


def findings(settings: Settings | None = None) -> Iterator[Finding]:
    """What is well, and what is not; nothing where no carrier is configured."""
    settings = settings or read_settings()
    if settings.kubernetes_image is None and settings.engine != KUBERNETES:
        return
    if settings.kubernetes_image is None:
        yield fail(_SUBJECT, "no image is named", "set NODEWISE_KUBERNETES_IMAGE to the agent's image")
    yield from _store(settings)
    try:
        api = KubernetesApi(kubernetes_connection(settings), settings.kubernetes_namespace)
        try:
            yield ok(_SUBJECT, f"{api.version()} answers, namespace {api.namespace}")
            yield from _rights(api)
            yield from _nodes(api, settings)
        finally:
            api.close()
    except (Unavailable, Refused) as error:
        advice = "see KUBECONFIG, NODEWISE_KUBECONFIG or NODEWISE_KUBERNETES_URL"
        yield fail(_SUBJECT, str(error), advice)


def _store(settings: Settings) -> Iterator[Finding]:
    """Whether pods could reach the store, as far as its address tells."""
    subject, scheme = "pod store", urlsplit(settings.store_url).scheme
    claim, path = settings.kubernetes_store_claim, settings.kubernetes_store_path
    if scheme == "file" and not (claim or path):
        yield fail(
            subject,
            f"{settings.store_url} is a folder here, and pods have none",
            "set NODEWISE_KUBERNETES_STORE_CLAIM or NODEWISE_KUBERNETES_STORE_PATH, or use a bucket (s3://)",
        )
    elif scheme == "file":
        yield ok(subject, f"claim {claim}" if claim else f"{path} of every node")
    elif scheme in ("memory", "local"):
        yield fail(subject, f"{settings.store_url} is in one process", "use a bucket or a shared volume")
    elif not (
        settings.kubernetes_pod_secret or settings.kubernetes_pod_env or settings.kubernetes_service_account
    ):
        advice = "set NODEWISE_KUBERNETES_POD_SECRET, unless the nodes themselves have access"
        yield warn(subject, f"{scheme}:// without any key for pods", advice)
    else:
        yield ok(subject, settings.store_url)


def _rights(api: KubernetesApi) -> Iterator[Finding]:
    missing = [
        f"{verb} {resource}"
        for namespace, rules in ((api.namespace, IN_NAMESPACE), (None, EVERYWHERE))
        for group, resource, verbs in rules
        for verb in verbs
        if not api.may(verb, resource, group=group, namespace=namespace)
    ]
    if missing:
        yield fail("rights", f"missing: {', '.join(missing)}", _APPLY)
    else:
        yield ok("rights", "all that are needed")
    group, resource, verb = OTHERS
    if not api.may(verb, resource, group=group):
        text = "the pods of others cannot be listed: nodes count as empty"
        yield warn("rights", text, _APPLY)


def _nodes(api: KubernetesApi, settings: Settings) -> Iterator[Finding]:
    found = [read_node(node) for node in api.nodes(settings.kubernetes_node_selector)]
    usable = sorted(node.name for node in found if node.usable)
    if not usable:
        selector = settings.kubernetes_node_selector
        advice = f"no node is ready that has {selector}" if selector else "no node is ready"
        yield fail("k8s nodes", f"{len(found)} found, none usable", advice)
    else:
        yield ok("k8s nodes", f"{len(usable)} of {len(found)} usable: {', '.join(usable[:10])}")
