"""Login at the identity provider: by a browser here, which comes back to this program, or on another device."""

import asyncio
import webbrowser
from urllib.parse import parse_qs, urlsplit

import click
import grpc
from solward.auth.v1 import auth_pb2

from common.errors import info_of, status_of
from ctl import exits
from ctl.client import AUTH, Client
from ctl.output import safe

WAIT_SECONDS = 300.0
MOST_BYTES = 16_384
_PAGE = "<!doctype html><meta charset=utf-8><title>Solward</title><p>You may close this page and go back to ctl."


async def by_browser(client: Client, *, show_only: bool) -> auth_pb2.Session:
    """Sign in by a browser on this machine.

    Args:
        show_only: print the address, and open no browser.
    """
    states: list[str] = []
    back: asyncio.Future[dict[str, str]] = asyncio.get_running_loop().create_future()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            line = await asyncio.wait_for(reader.readline(), 5)
            target = line.decode("ascii", "replace").split(" ")[1:2]
            found = urlsplit(target[0]) if target else urlsplit("")
            answer = "200 OK" if found.path == "/callback" else "404 Not Found"
            head = f"HTTP/1.1 {answer}\r\nContent-Type: text/html\r\nContent-Length: {len(_PAGE)}\r\n"
            writer.write(f"{head}Cache-Control: no-store\r\nConnection: close\r\n\r\n{_PAGE}".encode())
            await writer.drain()
            said = {name: values[0] for name, values in parse_qs(found.query).items()}
            # Any page, and anybody on this machine, can knock here: only our own login ends the wait.
            if found.path == "/callback" and said.get("state") in states and not back.done():
                back.set_result(said)
        except (TimeoutError, ConnectionError, ValueError):
            # A browser asks for more than the page, or goes away; the login goes on.
            return
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=MOST_BYTES)
    async with server:
        port = server.sockets[0].getsockname()[1]
        asked = auth_pb2.BeginOidcLoginRequest(loopback_uri=f"http://127.0.0.1:{port}/callback")
        begun = await client.attempt(f"{AUTH}/BeginOidcLogin", asked, auth_pb2.OidcLogin)
        states.append(begun.state)
        click.echo(f"Sign in at: {safe(begun.authorization_url)}", err=True)
        if not show_only:
            await asyncio.to_thread(webbrowser.open, begun.authorization_url)
        try:
            answer = await asyncio.wait_for(back, WAIT_SECONDS)
        except TimeoutError:
            exits.fail("nobody signed in within five minutes", exits.FAILED, "ctl login --oidc, or --device")
    request = auth_pb2.FinishOidcLoginRequest(
        state=begun.state, binding=begun.binding, code=answer.get("code", ""), issuer=answer.get("iss", ""),
        error=answer.get("error", ""),
    )  # fmt: skip
    return (await client.attempt(f"{AUTH}/FinishOidcLogin", request, auth_pb2.OidcSession)).session


async def by_device(client: Client) -> auth_pb2.Session:
    """Sign in by a browser on another device."""
    device = await client.attempt(f"{AUTH}/BeginDeviceLogin", auth_pb2.BeginDeviceLoginRequest(), auth_pb2.DeviceLogin)
    click.echo(f"On any device, open {safe(device.verification_uri)}\nand enter {safe(device.user_code)}", err=True)
    request = auth_pb2.PollDeviceLoginRequest(handle_token=device.handle_token)
    pause = device.interval_seconds
    while True:
        await asyncio.sleep(pause)
        try:
            return await client.attempt(f"{AUTH}/PollDeviceLogin", request, auth_pb2.Session)
        except grpc.aio.AioRpcError as error:
            info = info_of(status_of(error))
            if info.reason != "AUTHORIZATION_PENDING":
                raise
            pause = int(info.metadata["retry_after_seconds"])
