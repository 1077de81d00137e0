"""certs: client certificates of people and services."""

import datetime as dt
from pathlib import Path

import click
from google.protobuf.field_mask_pb2 import FieldMask
from solward.auth.v1 import certificates_pb2 as pb

from common.pki import certificate_request, key_pem, new_key
from ctl import names
from ctl.client import Client, run
from ctl.commands.access import role_name
from ctl.exits import USAGE, fail
from ctl.files import check_writable, private_file
from ctl.output import Form, cell, output_option, print_message, print_messages, when
from ctl.views.expiry import time_left

SERVICE = "solward.auth.v1.CertificatesService"
COLUMNS = ("CERTIFICATE", "SUBJECT", "LEFT", "ENDS UTC", "ISSUER")


@click.group()
def certs() -> None:
    """Client certificates of people and services, and the authorities that issue them."""


@certs.command(short_help="Make a key here and have it certified.")
@click.option("--user", default="", help="For another user than yourself.")
@click.option("--service", default="", help="For a program, which is made where it is not there yet.")
@click.option("--role", default="", help="Of a program that is made: its role on every host.")
@click.option("--days", type=click.IntRange(1, 90), default=None, help="At the most 30 for a person, 90 for a program.")
@click.option("--out", type=click.Path(path_type=Path), default=None, help="Write NAME.key, NAME.pem and NAME.ca.pem.")
@click.option("--force", is_flag=True, help="Replace files that exist.")
@output_option
@click.pass_obj
def issue(
    context: str | None, user: str, service: str, role: str, days: int | None, out: Path | None, force: bool,
    form: Form,
) -> None:  # fmt: skip
    """Make a key, which stays in a file here (0600), and have it certified; yours, unless another is named."""
    subject = _subject(user, service)
    base = out or Path(subject.partition("/")[2] or "solward")
    files = [base.with_name(f"{base.name}.{ending}") for ending in ("key", "pem", "ca.pem")]
    for file in files:
        check_writable(file)
        if file.exists() and not force:
            fail(f"{file} exists, nothing was done", USAGE, "give another name with --out, or --force")
    key = new_key()
    request = pb.IssueCertificateRequest(
        subject=subject, csr_pem=certificate_request(key), role=role_name(role) if role else "", days=days or 0
    )

    async def work(client: Client) -> pb.Certificate:
        return await client.call(f"{SERVICE}/IssueCertificate", request, pb.Certificate)

    made = run(context, work)
    contents = (key_pem(key).decode(), made.certificate_pem, made.roots_pem)
    for file, content in zip(files, contents, strict=True):
        with private_file(file, force=force) as written:
            written.write(content)
    _show(made, form)
    click.echo(
        f"\nwritten: {', '.join(map(str, files))}\n"
        f"use it:  ctl context add NAME --server HOST:7443 --ca-file {files[2]} --certificate {files[1]} "
        f"--key {files[0]}",
        err=True,
    )


@certs.command("list")
@click.option("--user", default="", help="Of another user than yourself.")
@click.option("--service", default="", help="Of a program.")
@click.option("--all", "everybody", is_flag=True, help="Everybody's.")
@output_option
@click.pass_obj
def list_(context: str | None, user: str, service: str, everybody: bool, form: Form) -> None:
    """List certificates that hold: yours, unless another is named."""
    request = pb.ListCertificatesRequest(subject="*" if everybody else _subject(user, service))

    async def work(client: Client) -> pb.ListCertificatesResponse:
        return await client.call(f"{SERVICE}/ListCertificates", request, pb.ListCertificatesResponse)

    print_messages(run(context, work).certificates, form, COLUMNS, _row)


@certs.command(short_help="End CERTIFICATE at once.")
@click.argument("certificate")
@click.option("--user", default="", help="Of another user than yourself.")
@click.option("--service", default="", help="Of a program.")
@output_option
@click.pass_obj
def revoke(context: str | None, certificate: str, user: str, service: str, form: Form) -> None:
    """End CERTIFICATE: its next call is refused, and its streams end within 5 seconds."""
    subject = _subject(user, service)

    async def work(client: Client) -> pb.Certificate:
        listing = pb.ListCertificatesRequest(subject=subject)
        found = await client.call(f"{SERVICE}/ListCertificates", listing, pb.ListCertificatesResponse)
        name = names.one_of("certificates", certificate, [one.name for one in found.certificates], "ctl certs list")
        request = pb.RevokeCertificateRequest(name=name, subject=subject)
        return await client.call(f"{SERVICE}/RevokeCertificate", request, pb.Certificate)

    _show(run(context, work), form)


@certs.command()
@output_option
@click.pass_obj
def services(context: str | None, form: Form) -> None:
    """List the programs that may hold certificates."""

    async def work(client: Client) -> pb.ListServicesResponse:
        return await client.call(f"{SERVICE}/ListServices", pb.ListServicesRequest(), pb.ListServicesResponse)

    print_messages(run(context, work).services, form, ("SERVICE", "ROLE", "STATE", "MADE BY", "MADE UTC"), _service)


@certs.command("set-service", short_help="Change a program's role, keep it out or let it in.")
@click.argument("service")
@click.option("--role", default="", help="Its role on every host from now on.")
@click.option("--disable/--enable", "disabled", default=None, help="Keep it out, or let it in.")
@output_option
@click.pass_obj
def set_service(context: str | None, service: str, role: str, disabled: bool | None, form: Form) -> None:
    """Change SERVICE; it holds from the next call on."""
    paths = [*(["role"] if role else []), *(["disabled"] if disabled is not None else [])]
    if not paths:
        fail("nothing is to change", USAGE, "--role ROLE, --disable or --enable")
    request = pb.UpdateServiceRequest(
        service=_subject("", service), role=role_name(role) if role else "", disabled=bool(disabled),
        update_mask=FieldMask(paths=paths),
    )  # fmt: skip

    async def work(client: Client) -> pb.Service:
        return await client.call(f"{SERVICE}/UpdateService", request, pb.Service)

    made = run(context, work)
    print_message(
        made, form, list(zip(("service", "role", "state", "made by", "made (UTC)"), _service(made), strict=True))
    )


@certs.command(short_help="List the authorities, and the server's certificate.")
@output_option
@click.pass_obj
def authorities(context: str | None, form: Form) -> None:
    """List the certificate authorities, their phases, and the server's own certificate."""
    found = run(context, all_authorities)
    print_messages(found, form, ("AUTHORITY", "PHASE", "LEFT", "ENDS UTC", "SHA-256"), _authority)


async def all_authorities(client: Client) -> list[pb.Authority]:
    """List the authorities, then the server's own certificate."""
    request = pb.ListAuthoritiesRequest()
    found = await client.call(f"{SERVICE}/ListAuthorities", request, pb.ListAuthoritiesResponse)
    return list(found.authorities)


def _subject(user: str, service: str) -> str:
    if user and service:
        fail("--user and --service are two holders", USAGE, "give one of them")
    if user:
        return f"users/{user.removeprefix('users/')}"
    return f"services/{service.removeprefix('services/')}" if service else ""


def _row(one: pb.Certificate) -> list[str]:
    left = "[red]revoked[/]" if one.revoked else time_left(one.start_time, one.expire_time, dt.datetime.now(dt.UTC))
    return [names.short(one.name), cell(one.subject), left, when(one.expire_time), cell(one.issuer)]


def _show(one: pb.Certificate, form: Form) -> None:
    columns = ("certificate", "subject", "left", "ends (UTC)", "issuer")
    print_message(one, form, list(zip(columns, _row(one), strict=True)))


def _service(one: pb.Service) -> list[str]:
    state = "[red]kept out[/]" if one.disabled else "[green]let in[/]"
    role = one.role.removeprefix("roles/")
    return [cell(one.name.removeprefix("services/")), cell(role), state, cell(one.creator), when(one.create_time)]


def _authority(one: pb.Authority) -> list[str]:
    left = time_left(one.start_time, one.expire_time, dt.datetime.now(dt.UTC))
    return [cell(one.name), one.phase or "-", left, when(one.expire_time), one.sha256]
