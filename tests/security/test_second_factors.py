"""Attacks on second factors: codes replayed and guessed, proofs carried to other calls."""

import asyncio
import time
from pathlib import Path

import pytest
from solward.auth.v1 import auth_pb2
from solward.operations.v1 import operations_pb2
from solward.validator.v1 import validator_pb2

from common.clock import now_ms
from common.digest import call_digest
from controlplane.identity import second_factors
from controlplane.identity.second_factors import FIRST_LOCK_MS, FREE_FAILURES, RECENT_MS, SecondFactors
from controlplane.identity.secrets import seal
from controlplane.store.certificates import CertificateRepository
from controlplane.store.database import close_engine, migrate, open_engine
from controlplane.store.sessions import SessionRepository
from controlplane.store.users import UserRepository
from tests.support.codes import Authenticator
from tests.support.plane import PASSWORD, Person, Plane, Refused
from tests.support.stream import refused, shift

RESTART = "solward.validator.v1.ValidatorService/Restart"
STOP = "solward.validator.v1.ValidatorService/Stop"
VERIFY = "solward.auth.v1.AuthService/VerifySecondFactor"
FACTORS = "controlplane.identity.second_factors"
# A call that reaches its handler ends here, since no agent is connected.
REACHED = "HOST_OFFLINE"


async def verify(plane: Plane, who: Person, code: str, digest: str = "") -> str:
    request = auth_pb2.VerifySecondFactorRequest(totp_code=code, call_digest=digest)
    return str((await plane.call(VERIFY, request, auth_pb2.SecondFactorProof, who)).proof)


async def test_case_18_code_is_good_once_whatever_the_session(plane: Plane) -> None:
    person = await plane.add_person()
    code = await person.authenticator.code()
    person.token = (await plane.login(person, code=code)).access_token
    assert (await refused(verify(plane, person, code))).reason == "CODE_REFUSED"
    assert (await refused(plane.login(person, code=code))).reason == "LOGIN_REFUSED"
    # An older step's code is void too, once a later one was accepted.
    later = person.authenticator._totp.generate_otp(int(time.time()) // 30 + 1)
    other = Person(person.name, person.uid, person.authenticator, (await plane.login(person, code=later)).access_token)
    assert (await refused(verify(plane, other, code))).reason == "CODE_REFUSED"


async def test_case_18_code_used_concurrently_opens_exactly_one_session(plane: Plane) -> None:
    person = await plane.add_person()
    code = await person.authenticator.code()
    results = await asyncio.gather(*(plane.login(person, code=code) for _ in range(4)), return_exceptions=True)
    assert sorted(isinstance(one, Refused) for one in results) == [False, True, True, True]


async def test_case_18_code_used_on_two_replicas_is_accepted_by_one(tmp_path: Path) -> None:
    engines = [open_engine(f"sqlite+aiosqlite:///{tmp_path / 'state.db'}") for _ in range(2)]
    await migrate(engines[0])
    authenticator, key = Authenticator("A" * 32), b"k" * 32
    users = UserRepository(engines[0])
    await users.add(uid="u", name="u", password_hash="", totp_seed=seal(key, "u", "A" * 32), role="admin", now=now_ms())
    user = await users.by_uid("u")
    assert user
    replicas = [
        SecondFactors(UserRepository(engine), SessionRepository(engine), CertificateRepository(engine), key)
        for engine in engines
    ]
    for _ in range(2):
        code = await authenticator.code()
        accepted = await asyncio.gather(*(replica.code_is_good(user, code) for replica in replicas * 5))
        assert accepted.count(True) == 1
    for engine in engines:
        await close_engine(engine)


async def test_case_19_guessed_codes_lock_the_account_for_longer_each_time(
    plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = await plane.sign_in()
    for _ in range(FREE_FAILURES):
        assert (await refused(verify(plane, person, "000000"))).reason == "CODE_REFUSED"
    locked = await refused(verify(plane, person, await person.authenticator.code()))
    assert (locked.code.name, locked.reason) == ("RESOURCE_EXHAUSTED", "ACCOUNT_LOCKED")
    assert 0 < float(locked.info.metadata["retry_after_seconds"]) <= FIRST_LOCK_MS / 1000
    # The lock holds at the other door too, whatever the password and code.
    assert (await refused(plane.login(person))).reason == "ACCOUNT_LOCKED"
    shift(monkeypatch, FACTORS, FIRST_LOCK_MS + 1000)
    assert (await refused(verify(plane, person, "000000"))).reason == "CODE_REFUSED"
    again = await refused(verify(plane, person, "000000"))
    assert FIRST_LOCK_MS / 1000 < float(again.info.metadata["retry_after_seconds"]) <= 2 * FIRST_LOCK_MS / 1000


async def test_case_19_success_forgets_failures(plane: Plane) -> None:
    person = await plane.sign_in()
    for _ in range(FREE_FAILURES - 1):
        await refused(verify(plane, person, "000000"))
    await verify(plane, person, await person.authenticator.code())
    for _ in range(FREE_FAILURES - 1):
        assert (await refused(verify(plane, person, "000000"))).reason == "CODE_REFUSED"


async def test_case_19_guesses_side_by_side_are_all_counted(plane: Plane) -> None:
    person = await plane.sign_in()
    guesses = [refused(verify(plane, person, f"{number:06}")) for number in range(40)]
    reasons = [one.reason for one in await asyncio.gather(*guesses)]
    assert reasons.count("CODE_REFUSED") <= FREE_FAILURES
    assert reasons.count("ACCOUNT_LOCKED") >= 40 - FREE_FAILURES


async def test_case_19_passwords_guessed_side_by_side_lock_nobody_out(plane: Plane) -> None:
    """A stranger who knows a name must not be able to keep its owner from signing in."""
    person = await plane.add_person()
    guesses = [refused(plane.login(person, f"password number {number}", "000000")) for number in range(12)]
    reasons = [one.reason for one in await asyncio.gather(*guesses)]
    assert reasons == ["LOGIN_REFUSED"] * 12
    user = await UserRepository(plane.app.records.engine).by_uid(person.uid)
    assert user is not None
    assert (user.failed_logins, user.locked_until_ms) == (0, 0)
    assert (await plane.login(person)).access_token


async def test_case_19_codes_guessed_with_the_right_password_side_by_side_are_all_counted(plane: Plane) -> None:
    person = await plane.add_person()
    guesses = [refused(plane.login(person, code=f"{number:06}")) for number in range(12)]
    reasons = [one.reason for one in await asyncio.gather(*guesses)]
    assert set(reasons) == {"LOGIN_REFUSED", "ACCOUNT_LOCKED"}
    assert reasons.count("LOGIN_REFUSED") <= FREE_FAILURES
    assert (await refused(plane.login(person))).reason == "ACCOUNT_LOCKED"
    # Who does not know the password is told nothing of the lock.
    assert (await refused(plane.login(person, "not the password"))).reason == "LOGIN_REFUSED"


async def test_case_19_unknown_user_is_refused_in_the_same_words_and_time(plane: Plane) -> None:
    known = await plane.add_person()
    stranger = Person("nobody-here", "", known.authenticator)
    times = {}
    for person in (known, stranger):
        spent = []
        for _ in range(3):
            begin = time.perf_counter()
            refusal = await refused(plane.login(person, "wrong password", "000000"))
            spent.append(time.perf_counter() - begin)
            assert refusal.reason == "LOGIN_REFUSED"
        times[person.name] = min(spent)
    # Both take a whole password hash; without one the answer would come ten times as fast.
    assert times[stranger.name] > times[known.name] / 3


async def test_case_19_wrong_password_does_not_spend_the_users_code(plane: Plane) -> None:
    person = await plane.add_person()
    code = await person.authenticator.code()
    assert (await refused(plane.login(person, "not the password", code))).reason == "LOGIN_REFUSED"
    assert (await plane.login(person, PASSWORD, code)).access_token


async def restart(plane: Plane, who: Person, proof: str, **fields: object) -> Refused:
    request = validator_pb2.RestartRequest(**({"host": "hosts/sol-1"} | fields))  # type: ignore[arg-type]
    return await refused(
        plane.call(RESTART, request, operations_pb2.Operation, who, (("solward-second-factor", proof),))
    )


async def proof_for(plane: Plane, who: Person) -> str:
    return await plane.prove(who, call_digest(RESTART, validator_pb2.RestartRequest(host="hosts/sol-1")))


async def test_case_20_proof_is_good_for_its_own_call_once(plane: Plane) -> None:
    admin = await plane.sign_in()
    await plane.add_machine(admin, "sol-1")
    proof = await proof_for(plane, admin)
    for other in ({"timeout_seconds": 1}, {"reason": "x"}, {"plan_hash": "0" * 64}, {"host": ""}):
        assert (await restart(plane, admin, proof, **other)).reason == "SECOND_FACTOR_REQUIRED", other
    stop = validator_pb2.StopRequest(host="hosts/sol-1")
    metadata = (("solward-second-factor", proof),)
    assert (await refused(plane.call(STOP, stop, operations_pb2.Operation, admin, metadata))).reason == (
        "SECOND_FACTOR_REQUIRED"
    )
    assert (await restart(plane, admin, proof)).reason == REACHED
    assert (await restart(plane, admin, proof)).reason == "SECOND_FACTOR_REQUIRED"


async def test_case_20_refusal_gives_the_digest_to_confirm(plane: Plane) -> None:
    admin = await plane.sign_in()
    refusal = await restart(plane, admin, "")
    assert dict(refusal.info.metadata) == {
        "factor": "PER_CALL",
        "call_digest": call_digest(RESTART, validator_pb2.RestartRequest(host="hosts/sol-1")),
    }


async def test_case_20_proof_is_bound_to_its_session(plane: Plane) -> None:
    admin, other = await plane.sign_in(), await plane.sign_in()
    await plane.add_machine(admin, "sol-1")
    proof = await proof_for(plane, admin)
    second = Person(admin.name, admin.uid, admin.authenticator, (await plane.login(admin)).access_token)
    assert (await restart(plane, second, proof)).reason == "SECOND_FACTOR_REQUIRED"
    assert (await restart(plane, other, proof)).reason == "SECOND_FACTOR_REQUIRED"
    assert (await restart(plane, admin, proof)).reason == REACHED


async def test_case_20_proof_is_over_after_five_minutes(plane: Plane, monkeypatch: pytest.MonkeyPatch) -> None:
    admin = await plane.sign_in()
    await plane.add_machine(admin, "sol-1")
    proof = await proof_for(plane, admin)
    shift(monkeypatch, FACTORS, RECENT_MS + 1000)
    assert (await restart(plane, admin, proof)).reason == "SECOND_FACTOR_REQUIRED"
    shift(monkeypatch, FACTORS, RECENT_MS - 10_000)
    assert (await restart(plane, admin, proof)).reason == REACHED


async def test_case_20_proof_used_concurrently_is_spent_once(plane: Plane) -> None:
    admin = await plane.sign_in()
    await plane.add_machine(admin, "sol-1")
    proof = await proof_for(plane, admin)
    reasons = [one.reason for one in await asyncio.gather(*(restart(plane, admin, proof) for _ in range(6)))]
    assert sorted(reasons) == [REACHED, *["SECOND_FACTOR_REQUIRED"] * 5]


async def test_case_20_plan_needs_no_code_and_changes_nothing(plane: Plane) -> None:
    admin = await plane.sign_in()
    await plane.add_machine(admin, "sol-1")
    assert (await restart(plane, admin, "", validate_only=True)).reason == REACHED
    # A proof of the plan does not carry out the act.
    planned = validator_pb2.RestartRequest(host="hosts/sol-1", validate_only=True)
    proof = await plane.prove(admin, call_digest(RESTART, planned))
    assert (await restart(plane, admin, proof)).reason == "SECOND_FACTOR_REQUIRED"


async def test_case_20_recent_factor_ends_after_five_minutes_and_is_the_sessions_own(
    plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin = await plane.sign_in()
    await plane.join_token("sol-1", admin)
    shift(monkeypatch, FACTORS, RECENT_MS + 1000)
    refusal = await refused(plane.join_token("sol-1", admin))
    assert (refusal.reason, refusal.info.metadata["factor"]) == ("SECOND_FACTOR_REQUIRED", "RECENT")
    # Another session's confirmation does not count, and neither does one from the future.
    other = await plane.sign_in()
    await verify(plane, other, await other.authenticator.code())
    assert (await refused(plane.join_token("sol-1", admin))).reason == "SECOND_FACTOR_REQUIRED"
    await verify(plane, admin, await admin.authenticator.code())
    await plane.join_token("sol-1", admin)
    shift(monkeypatch, FACTORS, -RECENT_MS)
    assert (await refused(plane.join_token("sol-1", admin))).reason == "SECOND_FACTOR_REQUIRED"


@pytest.mark.parametrize(
    ("steps", "good"), [(-20, False), (-2, False), (-1, True), (0, True), (1, True), (2, False), (20, False)]
)
async def test_case_17_code_of_a_clock_that_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: int, good: bool
) -> None:
    """One step of 30 s either side is forgiven; a clock that is ten minutes off is not."""
    engine = open_engine(f"sqlite+aiosqlite:///{tmp_path / 'state.db'}")
    await migrate(engine)
    users, seed = UserRepository(engine), "B" * 32
    await users.add(
        uid="u", name="u", password_hash="", totp_seed=seal(b"k" * 32, "u", seed), role="admin", now=now_ms()
    )
    user = await users.by_uid("u")
    assert user
    noon = 1_700_000_010
    monkeypatch.setattr(second_factors.time, "time", lambda: float(noon))
    code = Authenticator(seed)._totp.generate_otp(noon // 30 + steps)
    factors = SecondFactors(users, SessionRepository(engine), CertificateRepository(engine), b"k" * 32)
    assert await factors.code_is_good(user, code) is good
    await close_engine(engine)
