"""`nodewise data`: the registry of named data sets."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from nodewise.sdk.cli.options import AsJson, Url, connect
from nodewise.sdk.cli.output import known, print_json, print_table, size

app = typer.Typer(
    help="Register data sets, so that memory needs rest on fact.", no_args_is_help=True, rich_markup_mode=None
)


class Kind(StrEnum):
    """What a data set holds."""

    TABULAR = "tabular"
    IMAGES = "images"


@app.command()
def put(
    name: Annotated[str, typer.Argument(help="What tasks call it.")],
    path: Annotated[
        Path, typer.Argument(help="CSV, TSV, NumPy, Parquet, JSON lines, or a folder of images.")
    ],
    *,
    kind: Annotated[Kind | None, typer.Option(help="By default what it looks like.")] = None,
    classes: Annotated[int | None, typer.Option(min=1, help="How many classes it has.")] = None,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Measure a file or folder and store it under a name."""
    with connect(url) as client:
        stored = client.put_dataset(name, path, kind=kind.value if kind else None, classes=classes)
    _print([stored], as_json=as_json)


@app.command("ls")
def list_datasets(as_json: AsJson = False, url: Url = None) -> None:
    """List the registered data sets."""
    with connect(url) as client:
        found = client.datasets()
    _print(found, as_json=as_json)


def _print(found: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    rows = [
        (
            item["name"], item["kind"], size(item["size_bytes"]), known(item.get("samples")),
            known(item.get("features")), known(item.get("classes")),
            ", ".join(f"{count} {name}" for name, count in (item.get("types") or {}).items()) or "-",
        )
        for item in found
    ]  # fmt: skip
    print_table(
        ("data set", "kind", "size", "samples", "features", "classes", "types"), rows, none="no data sets"
    )
