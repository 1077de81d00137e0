"""The collector: OTLP requests over one channel, with a deadline, a breaker and a bounded retry."""

import asyncio
import random
from contextlib import suppress

import grpc
import grpc.aio
import structlog
import yarl
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from prometheus_client import Counter

from common.breaker import Breaker, BreakerOpen
from controlplane.telemetry.otlp.settings import OtlpSettings, Signal

log = structlog.get_logger(__name__)

DROPPED = Counter("solward_otlp_dropped", "Spans, metric points and log lines that were not sent.", ("signal", "why"))
SENT = Counter("solward_otlp_requests", "OTLP requests, by what came of them.", ("signal", "outcome"))

DEADLINE_S = 10.0
TRIES = 3
PAUSE_S = 0.5
_PREFIX = "/opentelemetry.proto.collector"
_METHODS: dict[Signal, str] = {
    "traces": f"{_PREFIX}.trace.v1.TraceService/Export",
    "metrics": f"{_PREFIX}.metrics.v1.MetricsService/Export",
    "logs": f"{_PREFIX}.logs.v1.LogsService/Export",
}
# https://opentelemetry.io/docs/specs/otlp/#failures
_AGAIN = {
    grpc.StatusCode.CANCELLED, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.ABORTED,
    grpc.StatusCode.OUT_OF_RANGE, grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DATA_LOSS,
}  # fmt: skip


class Away(Exception):
    """The collector does not take anything now; the same may be sent later."""


class Collector:
    """Sends encoded requests; made on the running loop.

    Args:
        settings: with an endpoint.
        roots_pem: whom to trust; None: whom the system trusts.
    """

    def __init__(self, settings: OtlpSettings, roots_pem: bytes | None = None) -> None:
        url = yarl.URL(settings.endpoint)
        target = f"{url.raw_host if ':' not in (url.raw_host or '') else f'[{url.raw_host}]'}:{url.port}"
        if url.scheme == "https":
            self._channel = grpc.aio.secure_channel(target, grpc.ssl_channel_credentials(roots_pem))
        else:
            self._channel = grpc.aio.insecure_channel(target)
        self._headers = tuple((key, value.get_secret_value()) for key, value in settings.headers.items())
        # Each failure is a long one, for its deadline.
        self._breaker = Breaker("the OTLP collector")
        self._well = True

    async def send(self, signal: Signal, request: bytes) -> None:
        """Send an encoded Export…ServiceRequest.

        What the collector refuses for good is counted, and not sent again.

        Raises: Away where it may be sent again later.
        """
        for turn in range(TRIES):
            try:
                self._breaker.before()
            except BreakerOpen as error:
                raise Away from error
            try:
                answer = await self._invoke(signal, request)
            except grpc.aio.AioRpcError as error:
                if not self._may_be_sent_again(signal, error):
                    return
            else:
                self._succeeded(signal, answer)
                return
            if turn + 1 < TRIES:
                await asyncio.sleep(PAUSE_S * 2**turn * random.uniform(0.5, 1.5))  # noqa: S311
        raise Away

    async def _invoke(self, signal: Signal, request: bytes) -> bytes:
        call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = self._channel.unary_unary(_METHODS[signal])
        answer: bytes = await call(
            request, timeout=DEADLINE_S, metadata=self._headers, compression=grpc.Compression.Gzip
        )
        return answer

    def _may_be_sent_again(self, signal: Signal, error: grpc.aio.AioRpcError) -> bool:
        again = error.code() in _AGAIN or (error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED and _says_when(error))
        SENT.labels(signal, "failed" if again else "refused").inc()
        if not again:
            # It answers: that it takes not this is no reason to leave it alone.
            log.warning("the OTLP collector refused a request", signal=signal, code=error.code().name)
            return False
        self._breaker.failed()
        if self._well:
            self._well = False
            log.warning("the OTLP collector is away", signal=signal, code=error.code().name)
        return True

    def _succeeded(self, signal: Signal, answer: bytes) -> None:
        self._breaker.succeeded()
        SENT.labels(signal, "sent").inc()
        with suppress(DecodeError):
            DROPPED.labels(signal, "rejected").inc(max(0, _rejected(signal, answer)))
        if not self._well:
            self._well = True
            log.info("the OTLP collector is back")

    async def close(self) -> None:
        """Close the channel."""
        self._breaker.close()
        await self._channel.close()


def _says_when(error: grpc.aio.AioRpcError) -> bool:
    """Whether a refusal for lack of room says when to come again (RetryInfo)."""
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin" and isinstance(value, bytes):
            try:
                details = status_pb2.Status.FromString(value).details
            except DecodeError:
                return False
            return any(detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR) for detail in details)
    return False


def _rejected(signal: Signal, answer: bytes) -> int:
    if signal == "traces":
        return ExportTraceServiceResponse.FromString(answer).partial_success.rejected_spans
    if signal == "metrics":
        return ExportMetricsServiceResponse.FromString(answer).partial_success.rejected_data_points
    return ExportLogsServiceResponse.FromString(answer).partial_success.rejected_log_records
