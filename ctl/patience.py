"""Views that stay wait for a control plane that goes away: it is started again, or another takes over."""

import asyncio
import time

import click
import grpc
import grpc.aio

WAIT_S = 1.0
GIVE_UP_S = 300.0


class Patience:
    """Waits for who has answered before, and says so once."""

    def __init__(self) -> None:
        self._answered = False
        self._away_since: float | None = None

    def answered(self) -> None:
        """Take note of an answer."""
        if self._away_since is not None:
            click.echo("the control plane answers again", err=True)
        self._answered, self._away_since = True, None

    async def wait(self, error: grpc.aio.AioRpcError) -> None:
        """Wait before it is asked again.

        Raises:
            AioRpcError: `error`: it has never answered, has been away for five minutes, or this is another trouble.
        """
        if not self._answered or error.code() is not grpc.StatusCode.UNAVAILABLE:
            raise error
        now = time.monotonic()
        if self._away_since is None:
            self._away_since = now
            click.echo("the control plane went away; waiting until it answers again", err=True)
        if now - self._away_since > GIVE_UP_S:
            raise error
        await asyncio.sleep(WAIT_S)
