"""The guard chain, put together: what every call passes, outermost first."""

from controlplane.guard.audit import Audit, Refusals
from controlplane.guard.break_glass import BreakGlass
from controlplane.guard.by_name import ByName
from controlplane.guard.chain import GuardChain
from controlplane.guard.errors import Errors
from controlplane.guard.observe import Observe
from controlplane.guard.places import Places
from controlplane.guard.policy import Policy
from controlplane.guard.principal import Authenticate
from controlplane.guard.rate import RateLimit
from controlplane.guard.second_factor import SecondFactor
from controlplane.guard.table import PolicyTable
from controlplane.guard.validation import Validation
from controlplane.guard.whence import Whence
from controlplane.identity.explain import Explainer
from controlplane.identity.installation import Installation
from controlplane.networks import Admission
from controlplane.rooms.auditing import Auditing
from controlplane.rooms.identities import Identities
from controlplane.rooms.records import Records
from controlplane.rooms.watching import Watching
from controlplane.settings import Settings
from controlplane.telemetry.otlp.spans import Traces


class Guarding:
    """The chain, who explains its decisions, and who makes them where no call is made."""

    def __init__(
        self, settings: Settings, installation: Installation, table: PolicyTable,
        records: Records, auditing: Auditing, identities: Identities, watching: Watching,
        traces: Traces,
    ) -> None:  # fmt: skip
        places = Places(records.hosts, records.operations, records.alerts)
        policy = Policy(places)
        self.explainer = Explainer(table, places, identities.roles)
        self.by_name = ByName(table, identities.principals, policy)
        admission = Admission.of(settings.allow_networks, settings.deny_networks)
        rate = RateLimit(settings.rate_limits, records.budgets)
        glass = BreakGlass(watching.notices)
        factor = SecondFactor(
            identities.factors, identities.approvals, identities.power, glass, required=settings.require_second_factor
        )
        self.chain = GuardChain(
            table,
            (
                Errors(),
                Observe(traces),
                Refusals(auditing.log),
                Whence(admission, installation.gateway_secret, rate),
                Authenticate(identities.principals, rate),
                rate,
                policy,
                # Nobody is asked for a code, nor others for approval, of what is refused anyhow.
                Validation(),
                factor,
                Audit(auditing.log),
            ),
        )
