"""How long certificates still hold: of hosts, of the authorities, and of the server itself."""

from typing import NamedTuple

from common.clock import now_ms
from common.pki import unix_ms
from controlplane.identity.live import LivePki
from controlplane.store.certificates import CertificateRepository


class Expiry(NamedTuple):
    """One certificate: host, ca or server, its name, and the seconds that are left; below 0 once it is over."""

    kind: str
    name: str
    seconds: float


class Expiries:
    """Reads them anew at each scrape."""

    def __init__(self, stored: CertificateRepository, pki: LivePki) -> None:
        self._stored = stored
        self._pki = pki

    async def read(self) -> list[Expiry]:
        """Give them all."""
        now = now_ms()
        ends = [("host", one.host, one.not_after_ms) for one in await self._stored.of_hosts()]
        ends += [("ca", one.id, unix_ms(one.chain[0].not_valid_after_utc)) for one in self._pki.authorities.trusted]
        ends.append(("server", "server", unix_ms(self._pki.server.certificate.not_valid_after_utc)))
        return [Expiry(kind, name, (end - now) / 1000) for kind, name, end in ends]
