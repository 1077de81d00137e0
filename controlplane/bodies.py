"""Answers of other systems, read whole and no further than they may be long."""

import aiohttp


class TooLong(Exception):
    """An answer is longer than it may be."""


async def read_body(answer: aiohttp.ClientResponse, most: int) -> bytes:
    """Read an answer's body, however it is cut on its way.

    Args:
        answer: whose head has come.
        most: how many bytes it may have.

    Raises: TooLong, and what the client raises.
    """
    body = bytearray()
    async for chunk in answer.content.iter_chunked(65_536):
        body += chunk
        if len(body) > most:
            raise TooLong(f"more than {most} bytes")
    return bytes(body)
