"""context: the control planes you know."""

from pathlib import Path
from typing import TextIO

import click

from common.pki import load_certificates, load_key
from ctl import contexts, exits, names

MTLS_PORT = 7443
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group()
def context() -> None:
    """Choose between control planes."""


@context.command("list")
def list_() -> None:
    """List the control planes you know; the current one is marked."""
    current = contexts.current_name()
    for name in contexts.names():
        known = contexts.load(name)
        click.echo(
            f"{'*' if name == current else ' '} {name}  {known.server}  {known.username or known.certificate or '-'}"
        )


@context.command(short_help="Add a control plane that a client certificate opens.")
@click.argument("name")
@click.option("--server", metavar="HOST[:PORT]", required=True, help="Its mTLS address (port 7443 if not given).")
@click.option("--ca-file", type=click.File("r"), required=True, help="Its certificate authority.")
@click.option("--certificate", type=_FILE, required=True, help="The client certificate, as ctl certs issue wrote it.")
@click.option("--key", type=_FILE, required=True, help="Its private key; the file is read at each call, not copied.")
def add(name: str, server: str, ca_file: TextIO, certificate: Path, key: Path) -> None:
    """Add a control plane as NAME, and use it: a client certificate stands in for signing in."""
    try:
        pem = ca_file.read()
        load_certificates(pem.encode())
        leaf = load_certificates(certificate.read_bytes())[0]
        matches = load_key(key.read_bytes()).public_key() == leaf.public_key()
    except ValueError as error:
        exits.fail(f"a file is not what it should be: {error}", exits.USAGE, "ctl certs issue writes all three")
    if not matches:
        exits.fail(f"{key} is not the key of {certificate}", exits.USAGE, "ctl certs issue writes both")
    if key.stat().st_mode & 0o077:
        exits.fail(f"{key} can be read by others", exits.USAGE, f"chmod 600 {key}")
    where = names.server(server, MTLS_PORT)
    made = contexts.Context(name, where, pem, certificate=str(certificate.resolve()), key=str(key.resolve()))
    contexts.save(made)
    contexts.use(name)
    click.echo(f"now using {name}: {where}, with {certificate}")


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
