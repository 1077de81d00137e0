"""Who sends, by OpenTelemetry's semantic conventions for resources (https://opentelemetry.io/docs/specs/semconv/resource/)."""

import os
import platform
import socket
import uuid
from importlib.metadata import PackageNotFoundError, version

from opentelemetry.proto.resource.v1.resource_pb2 import Resource as ResourceMessage
from opentelemetry.sdk.resources import Resource
from opentelemetry.semconv.schemas import Schemas

NAMESPACE = "solward"
SCHEMA = Schemas.V1_44_0.value


def own_resource(environment: str) -> Resource:
    """Describe this control plane; each process is an instance of its own.

    Args:
        environment: deployment.environment.name; empty: not said.
    """
    try:
        release = version("solward")
    except PackageNotFoundError:
        release = "unknown"
    about: dict[str, str | int] = {
        "service.name": "solward-controlplane",
        "service.namespace": NAMESPACE,
        "service.version": release,
        "service.instance.id": str(uuid.uuid4()),
        "host.name": socket.gethostname(),
        "os.type": platform.system().lower(),
        "process.pid": os.getpid(),
    }
    return Resource(about | _deployed(environment), SCHEMA)


def agent_resource(host: str, host_uid: str, agent_version: str, environment: str) -> Resource:
    """Describe a host's agent, whose spans come up its link.

    Args:
        host: the host's name.
        host_uid: names it for ever.
        agent_version: as the agent says.
        environment: as of `own_resource`.
    """
    about: dict[str, str | int] = {
        "service.name": "solward-agent",
        "service.namespace": NAMESPACE,
        "service.version": agent_version,
        "service.instance.id": host_uid,
        "host.name": host,
        "host.id": host_uid,
        "os.type": "linux",
    }
    return Resource(about | _deployed(environment), SCHEMA)


def on_wire(resource: Resource) -> ResourceMessage:
    """Say a resource as OTLP does."""
    message = ResourceMessage()
    for key, value in resource.attributes.items():
        pair = message.attributes.add(key=key)
        if isinstance(value, int):
            pair.value.int_value = value
        else:
            pair.value.string_value = str(value)
    return message


def _deployed(environment: str) -> dict[str, str | int]:
    return {"deployment.environment.name": environment} if environment else {}
