"""The list of services: what the policy table, the servers and the gateway are all made from."""

from google.protobuf.descriptor import ServiceDescriptor
from solward.alerts.v1 import alerts_pb2
from solward.audit.v1 import audit_pb2
from solward.auth.v1 import access_pb2, auth_pb2, certificates_pb2
from solward.controls.v1 import controls_pb2
from solward.geyser.v1 import geyser_pb2
from solward.hosts.v1 import enrollment_pb2, hosts_pb2, link_pb2
from solward.jito.v1 import jito_pb2
from solward.metrics.v1 import logs_pb2, metrics_pb2
from solward.operations.v1 import operations_pb2
from solward.rpc.v1 import rpc_pb2
from solward.validator.v1 import validator_pb2

_FILES = (
    auth_pb2, access_pb2, certificates_pb2, hosts_pb2, enrollment_pb2, link_pb2, rpc_pb2, validator_pb2,
    controls_pb2, jito_pb2, geyser_pb2, operations_pb2, alerts_pb2, audit_pb2, metrics_pb2, logs_pb2,
)  # fmt: skip

SERVICES: tuple[ServiceDescriptor, ...] = tuple(
    service for file in _FILES for service in file.DESCRIPTOR.services_by_name.values()
)
