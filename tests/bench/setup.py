"""What benchmarks need of a running cluster: certified users and hosts, made straight in its store."""

import datetime as dt
import uuid
from dataclasses import dataclass

import grpc
import grpc.aio
from sqlalchemy import insert

from common.clock import now_ms
from common.names import SpiffeId
from common.pki import key_pem, new_key, serial_hex, unix_ms
from controlplane.identity.ca import certificate_pem, public_der
from controlplane.identity.installation import Installation, load
from controlplane.settings import Settings
from controlplane.store.database import close_engine, open_engine
from controlplane.store.hosts import ACTIVE, CURRENT
from controlplane.store.tables import certificates, hosts
from controlplane.store.users import UserRepository
from tests.support.cluster import Cluster

HIGH_LIMITS = {
    name: f"{rate}/second"
    for name, rate in {
        "credential": 10_000,
        "read": 100_000,
        "write": 10_000,
        "stream": 10_000,
        "address": 100_000,
    }.items()
}


@dataclass
class Certified:
    """A principal with a client certificate."""

    uid: str
    name: str
    key_pem: bytes
    certificate_pem: bytes


def installation(cluster: Cluster) -> Installation:
    """Load the cluster's keys."""
    return load(settings(cluster))


def settings(cluster: Cluster) -> Settings:
    """Give the cluster's settings."""
    return Settings(**cluster.settings)


async def certify_admin(cluster: Cluster) -> Certified:
    """Issue a client certificate to the administrator."""
    engine = open_engine(settings(cluster).database())
    try:
        user = await UserRepository(engine).by_name("admin")
    finally:
        await close_engine(engine)
    assert user
    return (await certify(cluster, "user", [(user.uid, user.name)]))[0]


async def certify_hosts(cluster: Cluster, count: int) -> list[Certified]:
    """Make enrolled hosts."""
    return await certify(cluster, "agent", [(uuid.uuid4().hex, f"h{number}") for number in range(count)])


async def certify(cluster: Cluster, kind: str, who: list[tuple[str, str]]) -> list[Certified]:
    """Issue and store certificates for principals, and rows for hosts."""
    keys = installation(cluster)
    made, rows, host_rows = [], [], []
    for uid, name in who:
        key = new_key()
        identity = SpiffeId(settings(cluster).trust_domain, "agent" if kind == "agent" else "user", uid)
        certificate = keys.ca.issue_client(key.public_key(), identity, dt.datetime.now(dt.UTC))
        made.append(Certified(uid, name, key_pem(key), certificate_pem(certificate).encode()))
        rows.append(
            {
                "serial": serial_hex(certificate),
                "kind": kind,
                "subject_uid": uid,
                "public_key_der": public_der(key.public_key()),
                "not_before_ms": unix_ms(certificate.not_valid_before_utc),
                "not_after_ms": unix_ms(certificate.not_valid_after_utc),
                "state": CURRENT,
                "created_ms": now_ms(),
            }
        )
        host_rows.append({"uid": uid, "name": name, "state": ACTIVE, "created_ms": now_ms()})
    engine = open_engine(settings(cluster).database())
    try:
        async with engine.begin() as connection:
            if kind == "agent":
                await connection.execute(insert(hosts), host_rows)
            await connection.execute(insert(certificates), rows)
    finally:
        await close_engine(engine)
    return made


def mtls_channel(port: int, ca_pem: str, who: Certified) -> grpc.aio.Channel:
    """Open a channel of its own as a certified principal."""
    credentials = grpc.ssl_channel_credentials(ca_pem.encode(), who.key_pem, who.certificate_pem)
    options = (("grpc.use_local_subchannel_pool", 1),)
    return grpc.aio.secure_channel(f"localhost:{port}", credentials, options=options)
