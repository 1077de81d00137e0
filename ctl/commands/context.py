"""context: the control planes you know."""

import click

from ctl import contexts


@click.group()
def context() -> None:
    """Choose between control planes."""


@context.command("list")
def list_() -> None:
    """List the control planes you know; the current one is marked."""
    current = contexts.current_name()
    for name in contexts.names():
        known = contexts.load(name)
        click.echo(f"{'*' if name == current else ' '} {name}  {known.server}  {known.username or '-'}")


@context.command()
@click.argument("name")
def use(name: str) -> None:
    """Make NAME the current control plane."""
    contexts.use(name)
    click.echo(f"now using {name}")


@context.command()
@click.argument("name")
def delete(name: str) -> None:
    """Forget NAME and its session here; the server is not asked."""
    contexts.delete(name)
    click.echo(f"forgot {name}")
