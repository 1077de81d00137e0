"""`solward-controlplane ca`: rotation of the certificate authorities; see docs/pki.md."""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeVar

import click

if TYPE_CHECKING:
    from cryptography import x509

    from controlplane.identity.rotation import Rotation

Result = TypeVar("Result")
FORCE = click.option("--force", is_flag=True, help="Even where somebody is cut off by it; it is audited as such.")
IDENT = click.argument("authority", default="")


@click.group()
def ca() -> None:
    """Rotate the certificate authority while everything runs.

    Run it as the user that the control plane runs as. A running control plane takes a change in within seconds.
    """


@ca.command("list")
def list_() -> None:
    """List the authorities: phase, how long each holds, and what it is known by."""
    found = _try(lambda rotation: rotation.listed())
    now = dt.datetime.now(dt.UTC)
    for one in found.all:
        if not one.chain:
            click.echo(f"{one.id}  {one.phase}")
            continue
        certificate = one.chain[0]
        days = (certificate.not_valid_after_utc - now).days
        below = f"  below {one.root.subject.rfc4514_string()}" if len(one.chain) > 1 else ""
        click.echo(f"{one.id}  {one.phase}  {days} days left  sha256 {_sha256(certificate)}{below}")


@ca.command()
def rotate() -> None:
    """Make the next authority: everybody is told to trust it, and it issues nothing yet."""
    made = _try(lambda rotation: rotation.rotate())
    click.echo(f"{made.id} is next; when every host has been told: solward-controlplane ca activate")


@ca.command()
@IDENT
@FORCE
def activate(authority: str, force: bool) -> None:
    """Have the next authority (or an old one, by name) issue from now on; the one before stays trusted."""
    made = _try(lambda rotation: rotation.activate(authority, force=force))
    click.echo(f"{made.id} issues now; when nothing of the old one is in force: solward-controlplane ca retire")


@ca.command()
@IDENT
@FORCE
def retire(authority: str, force: bool) -> None:
    """Trust the old authority (or the one that is named) no more, and destroy its key."""
    made = _try(lambda rotation: rotation.retire(authority, force=force))
    click.echo(f"{made.id} is trusted no more")


@ca.command()
@click.argument("csr", type=click.Path(path_type=Path, dir_okay=False))
def request(csr: Path) -> None:
    """Write a request for a certificate to the file CSR, to be signed by your own authority; the key stays here."""
    made = _try(lambda rotation: rotation.request(csr))
    click.echo(f"{made.id} is requested; have {csr} signed as an authority (CA:TRUE), then: ca import CHAIN.pem")


@ca.command("import")
@click.argument("chain", type=click.File("rb"))
def import_(chain: BinaryIO) -> None:
    """Take in what was requested: the certificate with all above it, up to the root."""
    made = _try(lambda rotation: rotation.take(chain.read()))
    click.echo(f"{made.id} is next; when every host has been told: solward-controlplane ca activate")


def _try(work: Callable[[Rotation], Result]) -> Result:
    from sqlalchemy.exc import SQLAlchemyError

    from controlplane.identity.external import ChainRefused
    from controlplane.identity.rotation import Rotation, RotationRefused
    from controlplane.settings import SettingsError, load

    try:
        return work(Rotation(load()))
    except (SettingsError, RotationRefused) as error:
        why = str(error)
    except ChainRefused as error:
        why = f"the chain cannot be used: {error}"
    except SQLAlchemyError as error:
        why = f"database_url: the store cannot be asked, and nothing was changed: {str(error).partition(chr(10))[0]}"
    except (OSError, ValueError) as error:
        why = f"the authorities cannot be used: {error}"
    click.secho(f"error: {why}", fg="red", err=True)
    sys.exit(2)


def _sha256(certificate: x509.Certificate) -> str:
    from cryptography.hazmat.primitives import hashes

    return certificate.fingerprint(hashes.SHA256()).hex()
