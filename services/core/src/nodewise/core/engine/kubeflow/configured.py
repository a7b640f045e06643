"""From settings to connections."""

from nodewise.core.engine.kubeflow.client import KfpClient
from nodewise.core.engine.kubeflow.connection import KfpConnection
from nodewise.core.engine.kubeflow.kubernetes_api import KubernetesConnection, KubernetesNodes
from nodewise.core.settings import Settings


def kfp_client(settings: Settings) -> KfpClient | None:
    """KFP as the settings name it; None: they name none. Contacts nobody yet.

    Raises:
        ValueError: The settings contradict each other.
    """
    if settings.kfp_url is None:
        return None
    return KfpClient(
        KfpConnection(
            url=settings.kfp_url,
            token=settings.kfp_token,
            token_file=settings.kfp_token_file,
            cookie=settings.kfp_cookie,
            ca_file=settings.kfp_ca_file,
            verify_tls=settings.kfp_verify_tls,
            read_seconds=settings.kfp_seconds,
        )
    )


def kubernetes_nodes(settings: Settings) -> KubernetesNodes:
    """The nodes of the Kubernetes API that the settings, a kubeconfig or this pod's service account name."""
    return KubernetesNodes(kubernetes_connection(settings))


def kubernetes_connection(settings: Settings) -> KubernetesConnection:
    """Where the settings say that the Kubernetes API is."""
    return KubernetesConnection(
        url=settings.kubernetes_url,
        token=settings.kubernetes_token,
        ca_file=settings.kubernetes_ca_file,
        context=settings.kubernetes_context,
        kubeconfig=settings.kubeconfig,
    )
