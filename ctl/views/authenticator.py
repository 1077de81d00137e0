"""A new authenticator, as it is shown once; and the codes for the day it is lost."""

import io
from urllib.parse import parse_qs, urlsplit

import click
import segno
from solward.auth.v1 import auth_pb2


def show_secret(secret: auth_pb2.AuthenticatorSecret) -> None:
    """Draw a new authenticator's secret as a QR code on standard error, with its key to type."""
    picture = io.StringIO()
    segno.make(secret.otpauth_uri, error="m").terminal(picture, compact=True, border=1)
    key = parse_qs(urlsplit(secret.otpauth_uri).query).get("secret", [""])[0]
    click.echo(picture.getvalue(), err=True)
    click.echo(f"Scan this with your authenticator, or type its key: {key}\nIt is shown this once.\n", err=True)


def show_codes(codes: auth_pb2.RecoveryCodes) -> None:
    """Print recovery codes, one on a line."""
    click.echo("Recovery codes: each signs you in once without your authenticator. Keep them apart from it.", err=True)
    for code in codes.codes:
        click.echo(code)
