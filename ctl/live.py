"""Answers that are shown once, or asked for again and again in a view that stays."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, TypeVar

import click
import grpc
import grpc.aio
from google.protobuf.message import Message
from rich.console import RenderableType
from rich.live import Live

from ctl.client import Client, run
from ctl.output import Form, as_data, console, found_nothing, print_data, print_line
from ctl.patience import Patience

LOOK_S = 2.0
Answer = TypeVar("Answer", bound=Message | list[Any])
Ask = Callable[[Client], Coroutine[Any, Any, Answer]]
Draw = Callable[[Answer], RenderableType]

watch_option: Callable[[Any], Any] = click.option("--watch", is_flag=True, help="Keep the view live.")


def show(
    context: str | None, ask: Ask[Answer], draw: Draw[Answer], form: Form, *, watch: bool, nothing: str = ""
) -> None:
    """Show an answer.

    Args:
        context: whom to ask.
        ask: gives a message, or a list of them.
        draw: draws it for people; programs get its data.
        watch: ask every two seconds until cancelled, and keep what is drawn live.
        nothing: what is said of a list that is empty.
    """
    if watch:
        run(context, lambda client: _keep_showing(lambda: ask(client), draw, form))
        return
    found = run(context, ask)
    if form == "table":
        console.print(draw(found))
    else:
        print_data(as_data(found) if isinstance(found, Message) else list(map(as_data, found)), form)
    if isinstance(found, list):
        found_nothing(not found, nothing)


async def _keep_showing(ask: Callable[[], Coroutine[Any, Any, Answer]], draw: Draw[Answer], form: Form) -> None:
    if form != "table":
        async for found in _answers(ask):
            for message in [found] if isinstance(found, Message) else found:
                print_line(as_data(message), form)
        return
    with Live(console=console, auto_refresh=False) as view:
        async for found in _answers(ask):
            view.update(draw(found), refresh=True)


async def _answers(ask: Callable[[], Coroutine[Any, Any, Answer]]) -> AsyncIterator[Answer]:
    """Ask again and again; a control plane that went away is waited for."""
    patience = Patience()
    while True:
        try:
            found = await ask()
        except grpc.aio.AioRpcError as error:
            await patience.wait(error)
            continue
        patience.answered()
        yield found
        await asyncio.sleep(LOOK_S)
