"""The command `nodewise`."""


def main() -> None:
    """Run the command line."""
    from nodewise.sdk.cli.app import app  # noqa: PLC0415

    app(prog_name="nodewise")
