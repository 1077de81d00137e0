"""From an invitation to what a person may do, by ctl, with real processes."""

import asyncio
import re
from asyncio.subprocess import PIPE
from collections.abc import Mapping
from pathlib import Path

import aiohttp
import pyotp

from tests.support.cluster import cluster
from tests.support.oidc import Browser, oidc_server
from tests.support.programs import BIN

PASSWORD = "a password of carol's own"


async def redeem(environment: Mapping[str, str], where: tuple[str, ...], invitation: str) -> list[str]:
    """Redeem an invitation as a person does, who types the key into an authenticator; gives the recovery codes."""
    argv = [str(BIN / "ctl"), "--context", "carol", "login", *where, "--invitation"]
    ctl = await asyncio.create_subprocess_exec(*argv, env=environment, stdin=PIPE, stdout=PIPE, stderr=PIPE)
    assert ctl.stdin and ctl.stderr
    ctl.stdin.write(f"{invitation}\n{PASSWORD}\n".encode())
    async with asyncio.timeout(20):
        while not (shown := re.search(r"type its key: (\w+)", (await ctl.stderr.readline()).decode())):
            assert ctl.returncode is None
        out, _ = await ctl.communicate(f"{pyotp.TOTP(shown[1]).now()}\n".encode())
    assert ctl.returncode == 0
    return out.decode().split()


async def test_a_person_is_invited_sets_all_up_and_may_do_what_is_granted_for_a_while(tmp_path: Path) -> None:
    async with cluster(tmp_path, require_second_factor=False) as fleet:
        await fleet.sign_in()
        for name in ("sol-1", "sol-2"):
            await fleet.add_host(name)

        async def carol(*arguments: str, answers: tuple[str, ...] = (), check: bool = True) -> str:
            ran = await fleet.ctl("--context", "carol", *arguments, answers=answers, check=check)
            return ran.out + ran.err

        shown = await fleet.ctl(
            "--context", "default", "access", "invite", "carol", "--role", "none", "--email", "carol@example.net"
        )
        invitation = shown.out.strip()
        where = ("--server", f"127.0.0.1:{fleet.tls_port}", "--ca-file", str(fleet.ca_file))
        # A wrong code leaves the invitation as it was.
        wrong = await fleet.ctl(
            "--context", "carol", "login", *where, "--invitation", answers=(invitation, PASSWORD, "000000"), check=False
        )
        assert (wrong.code, "CODE_REFUSED" in wrong.err) == (4, True)
        told = await fleet.ctl_json("--context", "default", "access", "users")
        assert [(user["name"], user["hasSecondFactor"]) for user in told] == [
            ("users/admin", True),
            ("users/carol", False),
        ]
        # Each redeeming shows another secret; the test reads it as a person would.
        codes = await redeem(fleet.environment(), where, invitation)
        assert len(codes) == 10
        said = await carol("login", "--user", "carol", "--recovery", answers=(PASSWORD, codes[0]))
        assert "signed in" in said
        assert "PERMISSION_MISSING" in await carol("hosts", "list", check=False)
        granted = await fleet.ctl(
            "--context", "default", "access", "grant", "carol", "operator", "--on", "hosts/sol-2", "--hours", "8"
        )
        assert "hosts/sol-2" in granted.out
        listed = await carol("hosts", "list")
        assert "sol-2" in listed
        assert "sol-1" not in listed
        assert "PERMISSION_MISSING" in await carol("validator", "restart", "sol-1", "--plan", check=False)
        assert "restart" in (await carol("validator", "restart", "sol-2", "--plan")).lower()
        asked = ("--context", "default", "access", "explain", "ValidatorService/Restart", "--as", "carol", "--host")
        assert "role operator on hosts/sol-2" in (await fleet.ctl(*asked, "sol-2")).out
        refused = await fleet.ctl(*asked, "sol-1", check=False)
        assert (refused.code, "lacks validator.restart on hosts/sol-1" in refused.out) == (4, True)
        assert "this one" in await carol("account", "sessions")
        grant = (await fleet.ctl_json("--context", "default", "access", "grants"))[0]["name"].removeprefix("grants/")
        assert "ended" in (await fleet.ctl("--context", "default", "access", "end-grant", grant[:8])).out
        assert "PERMISSION_MISSING" in await carol("hosts", "list", check=False)
        assert "1 session ended" in (await fleet.ctl("--context", "default", "access", "end-sessions", "carol")).out
        over = await fleet.ctl("--context", "carol", "status", check=False)
        assert (over.code, "SESSION_OVER" in over.err) == (3, True)


async def test_ctl_signs_in_at_the_identity_provider_by_a_browser_here_or_elsewhere(tmp_path: Path) -> None:
    with oidc_server() as provider:
        async with cluster(tmp_path, oidc=provider.settings()) as fleet, Browser(provider.issuer) as browser:
            where = ("--server", f"127.0.0.1:{fleet.tls_port}", "--ca-file", str(fleet.ca_file))
            argv = [str(BIN / "ctl"), "--context", "ana", "login", *where]
            here = await asyncio.create_subprocess_exec(
                *argv, "--oidc", "--no-browser", env=fleet.environment(), stdout=PIPE, stderr=PIPE
            )
            assert here.stderr
            shown = (await here.stderr.readline()).decode()
            back = await browser.go(shown.removeprefix("Sign in at: ").strip())
            async with aiohttp.ClientSession() as http, http.get(back) as page:
                assert "close this page" in await page.text()
            out, err = await here.communicate()
            assert (here.returncode, "signed in" in out.decode()) == (0, True), err
            assert (await fleet.ctl_json("--context", "ana", "status"))["role"] == "admin"
            elsewhere = await asyncio.create_subprocess_exec(
                *argv, "--device", env=fleet.environment(), stdout=PIPE, stderr=PIPE
            )
            assert elsewhere.stderr
            address = (await elsewhere.stderr.readline()).decode().removeprefix("On any device, open ").strip()
            code = (await elsewhere.stderr.readline()).decode().removeprefix("and enter ").strip()
            assert "Success" in await browser.go(f"{address}?user_code={code}")
            out, err = await elsewhere.communicate()
            assert (elsewhere.returncode, "as ana.admin" in out.decode()) == (0, True), err
