"""What a person is shown of a new authenticator, and the codes for the day it is lost."""

import base64
import io
import secrets

import pyotp
import segno

RECOVERY_CODES = 10


def otpauth_uri(seed: str, username: str, trust_domain: str) -> str:
    """Give the otpauth:// address that authenticators read."""
    return str(pyotp.TOTP(seed).provisioning_uri(name=username, issuer_name=f"Solward {trust_domain}"))


def qr_svg(uri: str) -> str:
    """Draw an address as a QR code, an SVG picture."""
    picture = io.BytesIO()
    segno.make(uri, error="m").save(picture, kind="svg", scale=4, border=2, xmldecl=False)
    return picture.getvalue().decode().strip()


def qr_text(uri: str) -> str:
    """Draw an address as a QR code for a terminal."""
    picture = io.StringIO()
    segno.make(uri, error="m").terminal(picture, compact=True, border=1)
    return picture.getvalue()


def recovery_codes() -> list[str]:
    """Make recovery codes, 80 random bits each: as hard to guess hashed as they are to read aloud."""
    return [_code() for _ in range(RECOVERY_CODES)]


def _code() -> str:
    text = base64.b32encode(secrets.token_bytes(10)).decode().lower()
    return "-".join(text[at : at + 4] for at in range(0, len(text), 4))
