"""Who is who: people, services and machines, how they sign in, and what they may do."""

from controlplane.identity.approvers import Approvers
from controlplane.identity.call_approvals import CallApprovals
from controlplane.identity.client_certificates import ClientCertificates
from controlplane.identity.enrollment import Enrollment
from controlplane.identity.installation import Installation
from controlplane.identity.oidc.accounts import Accounts
from controlplane.identity.oidc.logins import OidcLogins
from controlplane.identity.oidc.outbound import Outbound
from controlplane.identity.oidc.provider import Provider
from controlplane.identity.people import People
from controlplane.identity.power import Power
from controlplane.identity.principals import Principals
from controlplane.identity.role_book import RoleBook
from controlplane.identity.second_factors import SecondFactors
from controlplane.identity.sessions import Sessions
from controlplane.rooms.records import Records
from controlplane.settings import Settings


class Identities:
    """Principals and their sessions, roles and second factors."""

    def __init__(self, settings: Settings, installation: Installation, records: Records) -> None:
        users, domain = records.users, settings.trust_domain
        self.pki = pki = installation.pki
        self.factors = SecondFactors(
            users, records.sessions, records.certificates, installation.seed_key, installation.old_seed_key
        )
        self.sessions = Sessions(
            users, records.sessions, self.factors, installation.token_key, settings, installation.old_token_key
        )
        self.roles = RoleBook(records.access, users)
        self.principals = Principals(
            users, records.hosts, self.sessions, self.roles, domain, records.services, pki,
            second_factor_roles=frozenset(settings.second_factor_roles if settings.require_second_factor else ()),
        )  # fmt: skip
        self.people = People(users, self.factors, self.principals.forget)
        self.approvals, self.power = CallApprovals(records.approvals, users, self.roles), Power(users, self.roles)
        self.approvers = Approvers(users, self.roles)
        self.enrollment = Enrollment(records.hosts, pki, domain)
        self.certificates = ClientCertificates(
            records.certificates, records.services, self.people, self.roles, pki, domain
        )
        outbound = Outbound("the identity provider", private=settings.oidc.allow_private)
        self.provider = Provider(settings.oidc, outbound)
        accounts = Accounts(users, self.roles, settings.oidc)
        self.oidc = OidcLogins(settings.oidc, self.provider, accounts, self.sessions)

    async def forget(self) -> None:
        """Read every principal anew from now on."""
        self.principals.forget()
