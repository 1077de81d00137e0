"""Bodies of requests: read whole, within the limits of what a client may send."""

import asyncio

import grpc
from aiohttp import web

from controlplane.gateway import errors
from controlplane.gateway.errors import GatewayError
from controlplane.gateway.site import Limits

# What is longer is read and written in a thread.
OFF_LOOP_BYTES = 65_536


async def read_body(request: web.Request, limits: Limits) -> bytes:
    """Read a body whole; GatewayError where it is too large, too slow or cut short."""
    if not request.body_exists:
        return b""
    if (request.content_length or 0) > limits.body_bytes:
        raise too_large(limits)
    try:
        async with asyncio.timeout(limits.body_s):
            return await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise too_large(limits) from None
    except web.RequestPayloadError:
        raise errors.bad_request("the body ends before its end") from None
    except TimeoutError:
        raise too_slow(limits) from None


def too_large(limits: Limits) -> GatewayError:
    """Say that a body, or one message of a stream, is too large."""
    words = f"a body has at most {limits.body_bytes} bytes"
    code = grpc.StatusCode.RESOURCE_EXHAUSTED
    return GatewayError(code, "BODY_TOO_LARGE", words, http_status=413, closes=True)


def too_slow(limits: Limits) -> GatewayError:
    """Say that a body, or one message of a stream, took too long."""
    words = f"the body did not arrive within {limits.body_s:g} s"
    return GatewayError(grpc.StatusCode.DEADLINE_EXCEEDED, "BODY_TOO_SLOW", words, http_status=408, closes=True)
