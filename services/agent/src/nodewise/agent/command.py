"""The command `nodewise agent`, and `python -m nodewise.agent`. Imports are inside: every start of the CLI reads this."""

from pathlib import Path
from typing import Annotated

import typer


def agent(  # noqa: PLR0913 - one parameter per option of the command
    *,
    name: Annotated[str | None, typer.Option(help="Name of the node, unique in the cluster; else the host's.")] = None,
    broker: Annotated[str | None, typer.Option(help="redis:// URL of the cluster's broker; else REDIS_URL.")] = None,
    store: Annotated[str | None, typer.Option(help="URL of the artifact store; else NODEWISE_STORE_URL.")] = None,
    cores: Annotated[str | None, typer.Option(help="Cores for tasks, such as 0,1 or 0-3; else all.")] = None,
    millicores: Annotated[int | None, typer.Option(help="CPU to offer, in thousandths of a core; else all cores.")] = None,
    memory_mib: Annotated[int | None, typer.Option(help="Memory to offer; else 90 % of the machine's.")] = None,
    gpus: Annotated[int, typer.Option(help="GPUs to offer.")] = 0,
    accelerator: Annotated[str | None, typer.Option(help="Kind of accelerator, such as gpu.")] = None,
    architecture: Annotated[str | None, typer.Option(help="amd64 or arm64; else this machine's.")] = None,
    worker_type: Annotated[str | None, typer.Option(help="low-cpu, med-cpu or high-cpu; else by cores.")] = None,
    node_class: Annotated[str | None, typer.Option(help="Nodes of one class are equally fast; else by size.")] = None,
    label: Annotated[list[str] | None, typer.Option(help="key=value; may be repeated.")] = None,
    work_dir: Annotated[Path | None, typer.Option(help="Folder of running tasks; else ~/.nodewise-agent/NAME.")] = None,
    cache_mib: Annotated[int, typer.Option(help="Disk for artifacts that were fetched before.")] = 4096,
    venvs_dir: Annotated[Path | None, typer.Option(envvar="NODEWISE_VENVS_DIR", help="Folder of the environments of components with packages, which agents here may share; else in the work folder.")] = None,
    venvs_mib: Annotated[int, typer.Option(envvar="NODEWISE_VENVS_MIB", help="Disk for those environments.")] = 8192,
    venv_seconds: Annotated[float, typer.Option(envvar="NODEWISE_VENV_SECONDS", help="How long installing a component's packages may take.")] = 1800,
    container_runtime: Annotated[str | None, typer.Option(envvar="NODEWISE_CONTAINER_RUNTIME", help="docker, podman or a path: runs components that bring their own image; else they run elsewhere.")] = None,
    pull_seconds: Annotated[float, typer.Option(envvar="NODEWISE_PULL_SECONDS", help="How long fetching an image may take.")] = 1800,
    spares: Annotated[int, typer.Option(envvar="NODEWISE_SPARES", min=0, help="Runners that wait with KFP loaded, so that short tasks need not wait for Python.")] = 2,
    metrics_port: Annotated[int | None, typer.Option(help="Port of /metrics; else NODEWISE_METRICS_PORT.")] = None,
    key_file: Annotated[Path | None, typer.Option(help="File with the key of this node, which `nodewise keys node NAME` prints where the cluster runs; else NODEWISE_NODE_KEY_FILE.")] = None,
    advertise: Annotated[str | None, typer.Option(help="Address where others reach this node's /metrics.")] = None,
) -> None:  # fmt: skip
    """Join this machine to a cluster as a node: it needs only the broker and the artifact store."""
    from nodewise.agent import options as given  # noqa: PLC0415
    from nodewise.agent.joining import CannotJoin  # noqa: PLC0415
    from nodewise.agent.worker import run  # noqa: PLC0415

    try:
        runtime = given.runtime_at(container_runtime)
        core_numbers = given.parse_cores(cores) if cores else given.usable_cores()
        node = given.node_from(
            name or given.host_name(),
            capacity=given.capacity_of(core_numbers, millicores=millicores, memory_mib=memory_mib, gpus=gpus),
            node_class=node_class,
            described={
                "architecture": architecture,
                "worker_type": worker_type,
                "accelerator": accelerator,
                "container_runtime": runtime.name if runtime else None,
            },
            labels=given.parse_labels(label or ()),
        )
        options = given.AgentOptions(
            node=node,
            cores=core_numbers,
            work_dir=(work_dir or given.default_work_dir(node.name)).absolute(),
            cache_mib=cache_mib,
            venvs_dir=venvs_dir.absolute() if venvs_dir else None,
            venvs_mib=venvs_mib,
            venv_seconds=venv_seconds,
            pull_seconds=pull_seconds,
            container_runtime=runtime,
            spares=spares,
            advertise=advertise,
        )
        run(given.settings_for(broker, store, metrics_port=metrics_port, advertise=advertise, key_file=key_file), options)  # fmt: skip
    except (given.OptionError, CannotJoin, ValueError) as error:
        typer.echo(f"nodewise agent: {error}", err=True)
        raise typer.Exit(2) from error
