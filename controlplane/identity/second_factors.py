"""Second factors: a code is good once, confirms a session for 5 minutes, or proves one call."""

import time

import grpc
import pyotp

from common.clock import now_ms
from common.errors import SolwardError
from controlplane.identity.secrets import new_token, seal, token_hash, unseal
from controlplane.store.certificates import CertificateRepository
from controlplane.store.sessions import SessionStore
from controlplane.store.users import User, UserRepository

# What a certificate that stands for a session is named by, before its serial.
CERTIFICATE = "cert:"
RECENT_MS = 5 * 60 * 1000
STEP_SECONDS = 30
# Accepted steps either side of now, for clocks that differ.
DRIFT_STEPS = 1
# Failures before the account locks, and the first lock's length; each further one doubles it.
FREE_FAILURES = 5
FIRST_LOCK_MS = 30_000
LONGEST_LOCK_MS = 60 * 60 * 1000


class SecondFactors:
    """Verifies authenticator codes (RFC 6238) and keeps what they proved."""

    def __init__(
        self,
        users: UserRepository,
        sessions: SessionStore,
        certificates: CertificateRepository,
        seed_key: bytes,
        old_seed_key: bytes | None = None,
    ) -> None:
        self._certificates = certificates
        self._users = users
        self._sessions = sessions
        self._seed_key = seed_key
        self._old_seed_key = old_seed_key

    async def code_is_good(self, user: User, code: str) -> bool:
        """Whether this is a current code of the user's that was not used before; using it spends it."""
        step = self.step_of(user.uid, user.totp_seed, code) if user.has_second_factor else None
        return step is not None and await self._users.take_step(user.uid, step)

    async def recovery_is_good(self, user: User, code: str) -> bool:
        """Whether this is a recovery code of the user's that is left; using it spends it."""
        return await self._users.use_recovery(user.uid, token_hash(code), now_ms())

    def step_of(self, owner: str, sealed_seed: bytes, code: str) -> int | None:
        """Find the time step, near now, whose code this is."""
        authenticator = pyotp.TOTP(unseal(self._seed_key, owner, sealed_seed, self._old_seed_key))
        now_step = int(time.time()) // STEP_SECONDS
        matched = [
            step
            for step in range(now_step - DRIFT_STEPS, now_step + DRIFT_STEPS + 1)
            if pyotp.utils.strings_equal(authenticator.generate_otp(step), code)
        ]
        return matched[-1] if matched else None

    async def seal_anew(self) -> None:
        """Seal every seed with the key in force, so that the one before can be retired."""
        if self._old_seed_key is None:
            return
        for user in await self._users.all():
            for column in ("totp_seed", "totp_pending"):
                sealed: bytes | None = getattr(user, column)
                if sealed:
                    seed = unseal(self._seed_key, user.uid, sealed, self._old_seed_key)
                    await self._users.set(user.uid, **{column: seal(self._seed_key, user.uid, seed)})

    def new_seed(self, owner: str) -> tuple[str, bytes]:
        """Make the seed of a new authenticator; gives it as it is shown once, and as it is stored."""
        seed = pyotp.random_base32()
        return seed, seal(self._seed_key, owner, seed)

    async def verify(self, user_uid: str, session_id: str, code: str, call_digest: str) -> tuple[str, int]:
        """Verify a code for the session, or for one call.

        Returns: the call's proof (empty for the session) and when it ends, milliseconds since the epoch.
        Raises: SolwardError CODE_REFUSED or ACCOUNT_LOCKED.
        """
        user = await self._users.by_uid(user_uid)
        if user is None or user.disabled:
            raise code_refused()
        await self.begin_attempt(user)
        if not await self.code_is_good(user, code):
            raise code_refused()
        await self._users.set_failures(user.uid, 0, 0)
        now = now_ms()
        if not call_digest:
            if session_id.startswith(CERTIFICATE):
                await self._certificates.confirm(session_id.removeprefix(CERTIFICATE), now)
            else:
                await self._sessions.confirm(session_id, now)
            return "", now + RECENT_MS
        proof = new_token("proof")
        await self._sessions.add_proof(token_hash(proof), session_id, call_digest, now + RECENT_MS)
        return proof, now + RECENT_MS

    async def recent_until(self, session_id: str) -> int | None:
        """When the second factor that a session, or the certificate in its place, proved has to be proved again.

        Returns: milliseconds since the epoch; None: it was not proved within the last 5 minutes.
        """
        if session_id.startswith(CERTIFICATE):
            proved_ms = await self._certificates.confirmed_ms(session_id.removeprefix(CERTIFICATE))
        else:
            session = await self._sessions.get(session_id)
            proved_ms = session.second_factor_ms if session else 0
        return proved_ms + RECENT_MS if 0 <= now_ms() - proved_ms < RECENT_MS else None

    async def spend(self, proof: str, session_id: str, call_digest: str) -> bool:
        """Use up a proof for the call it was made for."""
        return await self._sessions.spend_proof(token_hash(proof), session_id, call_digest, now_ms())

    async def begin_attempt(self, user: User) -> None:
        """Count an attempt as failed until it succeeds, so that guesses side by side are all counted.

        Raises: SolwardError ACCOUNT_LOCKED while too many failures lock the account.
        """
        if not await self._users.take_attempt(user.uid, now_ms(), _lock_ms):
            latest = await self._users.by_uid(user.uid) or user
            raise _locked(max(0.0, (latest.locked_until_ms - now_ms()) / 1000))


def _lock_ms(failed: int) -> int:
    """From the fifth failure on the account locks, for longer each time."""
    excess = failed - FREE_FAILURES
    return min(LONGEST_LOCK_MS, FIRST_LOCK_MS * 2 ** min(excess, 16)) if excess >= 0 else 0


def _locked(wait_s: float) -> SolwardError:
    return SolwardError(
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "ACCOUNT_LOCKED",
        f"too many failed attempts; try again in {wait_s:.0f} s",
        {"retry_after_seconds": f"{wait_s:.0f}"},
        retry_after_s=wait_s,
    )


def code_refused() -> SolwardError:
    """Say that a code was wrong, over or used before, without saying which."""
    return SolwardError(
        grpc.StatusCode.UNAUTHENTICATED,
        "CODE_REFUSED",
        "the code is wrong or was used already: wait for the next one (a code is good once), "
        "and check that both clocks are right",
    )
