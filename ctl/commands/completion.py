"""completion: scripts for shells."""

import click


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print a completion script: add it to your shell's start-up file."""
    from click.shell_completion import get_completion_class

    from ctl.__main__ import cli

    cls = get_completion_class(shell)
    if cls is None:
        raise click.UsageError(f"no completion for {shell}")
    click.echo(cls(cli, {}, "ctl", "_CTL_COMPLETE").source())
