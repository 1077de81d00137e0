"""The cluster seen from outside: a Solana RPC other than the node's own, so that an isolated node cannot fool us."""

import asyncio
import json
from types import TracebackType
from typing import Any, Self

import aiohttp

from common.breaker import Breaker, BreakerOpen
from controlplane.bodies import TooLong, read_body
from controlplane.operations.gates import Outside

CALL_SECONDS = 4.0
TRIES = 2
MAX_ANSWER = 32 * 1024 * 1024


class OutsideTrouble(Exception):
    """Why the outside view cannot be had."""


class OutsideUnset(OutsideTrouble):
    """There is no outside view: nobody has named one."""


class OutsideView:
    """Looks at the cluster through one RPC endpoint.

    Args:
        url: http or https; empty: there is none, and every look says so.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._breaker = Breaker("the outside RPC")
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Open the client."""
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=CALL_SECONDS))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the client."""
        self._breaker.close()
        if self._session:
            await self._session.close()

    async def look(self) -> Outside:
        """Look at the cluster now; what cannot be had is said in `trouble`."""
        if not self._url:
            return Outside(trouble="no outside RPC is set (solana_rpc_url)")
        try:
            slot, samples, accounts = await asyncio.gather(
                self.call("getSlot", {"commitment": "processed"}),
                self.call("getRecentPerformanceSamples", 5),
                self.call("getVoteAccounts"),
            )
            late, whole = _stake(accounts["delinquent"]), _stake(accounts["current"])
            slots = sum(sample["numSlots"] for sample in samples)
            seconds = sum(sample["samplePeriodSecs"] for sample in samples)
            percent = 100 * late / (late + whole) if late + whole else 0.0
            return Outside(int(slot), seconds * 1000 / slots if slots else 0.0, percent)
        except OutsideTrouble as trouble:
            return Outside(trouble=str(trouble))
        except (KeyError, TypeError, ValueError) as error:
            return Outside(trouble=f"the outside RPC answers in another shape than is known ({type(error).__name__})")

    async def last_vote(self, vote_account: str) -> int:
        """Give the last slot that a vote account voted for, as the cluster has it; raises OutsideTrouble."""
        accounts = await self.call("getVoteAccounts", {"votePubkey": vote_account, "keepUnstakedDelinquents": True})
        try:
            found = [*accounts["current"], *accounts["delinquent"]]
            return int(found[0]["lastVote"]) if found else 0
        except (KeyError, TypeError, ValueError):
            raise OutsideTrouble("the outside RPC answers in another shape than is known") from None

    async def stakes(self) -> dict[str, int]:
        """Give the active stake of every vote account, in lamports; raises OutsideTrouble."""
        accounts = await self.call("getVoteAccounts")
        try:
            found = [*accounts["current"], *accounts["delinquent"]]
            return {str(account["votePubkey"]): int(account["activatedStake"]) for account in found}
        except (KeyError, TypeError, ValueError):
            raise OutsideTrouble("the outside RPC answers in another shape than is known") from None

    async def call(self, method: str, *params: Any) -> Any:
        """Call a method, once more after a failure; raises OutsideTrouble, whose words never hold the URL."""
        if not self._url:
            raise OutsideUnset("no outside RPC is set (solana_rpc_url)")
        for left in reversed(range(TRIES)):
            try:
                return await self._once(method, params)
            except OutsideTrouble:
                if not left:
                    raise
        raise AssertionError("unreachable")

    async def _once(self, method: str, params: tuple[Any, ...]) -> Any:
        if self._session is None:
            raise OutsideTrouble("the outside view is not open")
        try:
            self._breaker.before()
        except BreakerOpen as error:
            raise OutsideTrouble(str(error)) from None
        try:
            asked = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
            async with self._session.post(self._url, json=asked, allow_redirects=False) as answer:
                if answer.status != 200:
                    raise OutsideTrouble(f"the outside RPC answers {method} with HTTP {answer.status}")
                read = json.loads(await read_body(answer, MAX_ANSWER))
        except TooLong as error:
            self._breaker.failed()
            raise OutsideTrouble(f"the outside RPC answers {method} with {error}") from None
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            # A provider's URL often holds its key, and errors often hold the URL.
            self._breaker.failed()
            raise OutsideTrouble(f"the outside RPC does not answer {method} ({type(error).__name__})") from None
        except OutsideTrouble:
            self._breaker.failed()
            raise
        self._breaker.succeeded()
        if not isinstance(read, dict) or "result" not in read:
            raise OutsideTrouble(f"the outside RPC refuses {method}")
        return read["result"]


def _stake(accounts: list[dict[str, Any]]) -> int:
    return sum(int(account["activatedStake"]) for account in accounts)
