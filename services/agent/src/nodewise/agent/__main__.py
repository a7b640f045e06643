"""`python -m nodewise.agent`: the same as `nodewise agent`."""

import typer

from nodewise.agent.command import agent


def main() -> None:
    """Run the command with the process's arguments."""
    typer.run(agent)


if __name__ == "__main__":
    main()
