"""REST as a script uses it: sign in, be refused for want of a second factor, confirm the call, do it."""

import json
import ssl
from pathlib import Path
from typing import Any

import aiohttp

from tests.support.cluster import PASSWORD, cluster


async def test_a_restart_over_rest_confirms_this_very_call(tmp_path: Path) -> None:
    async with cluster(tmp_path) as fleet:
        await fleet.sign_in()
        await fleet.add_host("sol-1")
        async with Rest(fleet.rest_port, fleet.ca_file) as rest:
            credentials = {"username": "admin", "password": PASSWORD, "totpCode": await fleet.authenticator.code()}
            status, session = await rest.post("/auth/login", credentials)
            assert status == 200
            rest.bearer = session["accessToken"]

            body = {"host": "hosts/sol-1", "reason": "over REST"}
            status, refused = await rest.post("/api/validator/restart", body)
            assert (status, refused["code"]) == (403, 7)
            info = next(detail for detail in refused["details"] if detail["@type"].endswith("ErrorInfo"))
            assert info["reason"] == "SECOND_FACTOR_REQUIRED"

            code = await fleet.authenticator.code()
            confirm = {"totpCode": code, "callDigest": info["metadata"]["call_digest"]}
            status, proof = await rest.post("/auth/2fa/verify", confirm)
            assert status == 200

            other = {"host": "hosts/sol-1", "reason": "something else"}
            status, _ = await rest.post("/api/validator/restart", other, proof["proof"])
            assert status == 403
            status, operation = await rest.post("/api/validator/restart", body, proof["proof"])
            assert status == 200
            lines = await rest.lines(f"/v1/{operation['name']}:watch")
            assert lines[-1]["result"]["state"] == "OPERATION_STATE_SUCCEEDED"
            status, again = await rest.post("/api/validator/restart", body, proof["proof"])
            assert status == 403, again


async def test_paths_that_every_installation_has(tmp_path: Path) -> None:
    async with cluster(tmp_path) as fleet, Rest(fleet.rest_port, fleet.ca_file) as rest:
        assert await rest.get("/health") == 200
        assert await rest.get("/api/rpc/metrics") == 401
        assert await rest.get("/v1/logs?hosts=hosts/sol-1&fields=a%3Db") == 401
        assert await rest.get("/api/rpc/nothing") == 404
        assert await rest.get("/api/validator/restart") == 405


class Rest:
    """A client that trusts the control plane's own authority."""

    def __init__(self, port: int, ca_file: Path) -> None:
        self._base = f"https://127.0.0.1:{port}"
        self._tls = ssl.create_default_context(cafile=str(ca_file))
        self.bearer = ""

    async def __aenter__(self) -> "Rest":
        self._session = aiohttp.ClientSession()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def post(self, path: str, body: dict[str, Any], proof: str = "") -> tuple[int, dict[str, Any]]:
        headers = self._headers() | ({"solward-second-factor": proof} if proof else {})
        async with self._session.post(self._base + path, json=body, headers=headers, ssl=self._tls) as answer:
            return answer.status, await answer.json()

    async def get(self, path: str) -> int:
        async with self._session.get(self._base + path, headers=self._headers(), ssl=self._tls) as answer:
            await answer.read()
            return answer.status

    async def lines(self, path: str) -> list[dict[str, Any]]:
        async with self._session.get(self._base + path, headers=self._headers(), ssl=self._tls) as answer:
            return [json.loads(line) async for line in answer.content]

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.bearer}"} if self.bearer else {}
