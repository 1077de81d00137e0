"""`solward-controlplane`: init, add-user, serve, gateway, keys, ca and policy."""

import os
import sys
from collections.abc import Callable
from typing import Any, NoReturn, TextIO, TypeVar

import click

from common import logs
from controlplane import settings as settings_module
from controlplane.authority_commands import ca

Result = TypeVar("Result")

# gRPC would write of every bad client to standard error, past the log.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """The Solward control plane.

    Settings come from /etc/solward/controlplane.yaml (or the file that SOLWARD_CONFIG names) and from
    SOLWARD_* variables, which win.
    """


@cli.command()
@click.option("--admin", default="admin", show_default=True, help="Name of the first administrator.")
@click.option(
    "--password-file",
    type=click.File("r"),
    help="Read the password from this file ('-': standard input) instead of asking for it.",
)
def init(admin: str, password_file: TextIO | None) -> None:
    """Make the certificate authority, the keys and the first administrator.

    Refuses to run over an existing installation.
    """
    from controlplane import setup

    settings = _settings()
    try:
        setup.refuse_second(settings)
        password = password_file.read().strip() if password_file else _ask_password()
        made = setup.run(settings, admin, password)
    except setup.SetupError as error:
        _fail(str(error))
    click.echo(made)


@cli.command("add-user")
@click.argument("name")
@click.option("--role", type=click.Choice(["admin", "operator", "viewer"]), required=True, help="What they may do.")
@click.option("--password-file", type=click.File("r"), help="Read the password from this file ('-': standard input).")
def add_user(name: str, role: str, password_file: TextIO | None) -> None:
    """Add a person; run it on the control plane's own host."""
    from controlplane import setup

    password = password_file.read().strip() if password_file else _ask_password()
    try:
        made = setup.add_person(_settings(), name, password, role)
    except setup.SetupError as error:
        _fail(str(error))
    click.echo(made)


@cli.command()
def serve() -> None:
    """Serve until SIGTERM; calls under way are given time to end."""
    import uvloop
    from sqlalchemy.exc import SQLAlchemyError

    from common.errors import SolwardError
    from controlplane.app import App
    from controlplane.guard.table import PolicyMissing
    from controlplane.identity.installation import InstallationError, load
    from controlplane.servers import StartError

    settings = _settings()
    logs.configure(settings.log_level, json=settings.log_format == "json")
    try:
        installation = load(settings)
    except InstallationError as error:
        _fail(str(error))
    if not settings.require_second_factor:
        click.secho("WARNING: second factors are switched off (require_second_factor: false)", fg="red", err=True)

    async def run() -> None:
        await App(settings, installation).serve()

    try:
        uvloop.run(run())
    except (PolicyMissing, StartError, SolwardError) as error:
        _fail(str(error))
    except (SQLAlchemyError, ImportError) as error:
        _fail(f"database_url: the store cannot be opened: {str(error).partition(chr(10))[0]}")


@cli.command()
def gateway() -> None:
    """Serve REST apart from the control plane, with what that left in gateway_dir."""
    import uvloop

    from controlplane.servers import StartError
    from controlplane.web import GatewayKeys, serve_gateway

    settings = _settings()
    logs.configure(settings.log_level, json=settings.log_format == "json")
    if settings.gateway_dir is None:
        _fail("gateway_dir is not set: the gateway runs within the control plane")
    try:
        uvloop.run(serve_gateway(settings, GatewayKeys.take_over(settings.gateway_dir), settings.gateway_dir))
    except OSError as error:
        _fail(f"{error.filename}: {error.strerror}: the control plane leaves it there when it starts")
    except StartError as error:
        _fail(str(error))


@cli.group()
def keys() -> None:
    """Change keys while what was made with the one before still holds."""


@keys.command("list")
def list_keys() -> None:
    """List the keys that can change, and whether the one before is still valid."""
    from controlplane.identity.key_rotation import states

    for name, purpose, state in _with_keys(states, _settings()):
        click.echo(f"{name:8}{state:16}{purpose}")


@keys.command()
@click.argument("name", type=click.Choice(["token", "seed", "csrf"]))
def rotate(name: str) -> None:
    """Make a new key; the one before stays valid until it is retired."""
    from controlplane.identity.key_rotation import rotate as rotate_key

    click.echo(_with_keys(rotate_key, _settings(), name))


@keys.command()
@click.argument("name", type=click.Choice(["token", "seed", "csrf"]))
def retire(name: str) -> None:
    """Take the key before away."""
    from controlplane.identity.key_rotation import retire as retire_key

    click.echo(_with_keys(retire_key, _settings(), name))


def _with_keys(work: Callable[..., Result], *arguments: Any) -> Result:
    from controlplane.identity.installation import InstallationError

    try:
        return work(*arguments)
    except InstallationError as error:
        _fail(str(error))
    except OSError as error:
        _fail(f"{error.filename}: {error.strerror}")


@cli.command()
@click.option("--format", "form", type=click.Choice(["text", "markdown"]), default="text", show_default=True)
def policy(form: str) -> None:
    """Print the permission matrix, read from the contract itself."""
    from controlplane.guard.matrix import render

    click.echo(render(form))


cli.add_command(ca)


def _ask_password() -> str:
    if not sys.stdin.isatty():
        _fail("there is no terminal to ask for the password on: use --password-file ('-' reads standard input)")
    answer: str = click.prompt("New password", hide_input=True, confirmation_prompt=True)
    return answer


def _settings() -> settings_module.Settings:
    try:
        return settings_module.load()
    except settings_module.SettingsError as error:
        _fail(str(error))


def _fail(message: str) -> NoReturn:
    click.secho(f"error: {message}", fg="red", err=True)
    sys.exit(2)


def main() -> None:
    """Run the command line."""
    # Whatever is written is for its owner alone.
    os.umask(0o077)
    cli(prog_name="solward-controlplane")


if __name__ == "__main__":
    main()
