"""What the public clients make of a block engine: `public_clients.py GRPC HTTP BUNDLE…`, transactions in hexadecimal.

Run with the clients' own folder on the path, and none of ours: their generated code has the names of ours.
"""

import base64
import json
import sys
from typing import Any

from jito_py_rpc import JitoJsonRpcSDK
from jito_searcher_client import get_searcher_client, tx_to_protobuf_packet
from jito_searcher_client.convert import versioned_tx_to_protobuf_packet
from jito_searcher_client.generated.bundle_pb2 import Bundle
from jito_searcher_client.generated.searcher_pb2 import (
    ConnectedLeadersRequest,
    GetTipAccountsRequest,
    NextScheduledLeaderRequest,
    SendBundleRequest,
    SubscribeBundleResultsRequest,
)  # fmt: skip
from solders.keypair import Keypair
from solders.transaction import VersionedTransaction


def by_grpc(target: str, bundle: list[bytes], keypair: Keypair | None) -> dict[str, Any]:
    assert tx_to_protobuf_packet
    client = get_searcher_client(target, keypair)
    results = client.SubscribeBundleResults(SubscribeBundleResultsRequest())
    results.initial_metadata()
    packets = [versioned_tx_to_protobuf_packet(VersionedTransaction.from_bytes(raw)) for raw in bundle]
    leader = client.GetNextScheduledLeader(NextScheduledLeaderRequest())
    told = {
        "tip_accounts": list(client.GetTipAccounts(GetTipAccountsRequest()).accounts),
        "leader_in": leader.next_leader_slot - leader.current_slot,
        "leaders": len(client.GetConnectedLeaders(ConnectedLeadersRequest()).connected_validators),
        "bundle": client.SendBundle(SendBundleRequest(bundle=Bundle(header=None, packets=packets))).uuid,
    }
    first = next(results)
    results.cancel()
    return told | {"result": first.bundle_id, "kind": first.WhichOneof("result")}


def by_http(url: str, bundle: list[bytes]) -> dict[str, Any]:
    client = JitoJsonRpcSDK(f"{url}/api/v1")
    sent = client.send_bundle([base64.b64encode(raw).decode() for raw in bundle])
    ident = sent["data"]["result"]
    return {
        "bundle": ident,
        "tip_account": client.get_random_tip_account(),
        "inflight": client.get_inflight_bundle_statuses([[ident]][0])["data"]["result"]["value"],
        "statuses": client.get_bundle_statuses([ident])["data"]["result"]["value"],
        "again": client.send_bundle([base64.b64encode(bundle[0]).decode()] * 2),
    }


def main() -> None:
    target, url, key, *bundles = sys.argv[1:]
    keypair = Keypair.from_seed(bytes.fromhex(key)) if key else None
    each = [[bytes.fromhex(raw) for raw in bundle.split(",")] for bundle in bundles]
    told = {"grpc": by_grpc(target, each[0], keypair), "http": by_http(url, each[1])}
    print(f"\ntold {json.dumps(told)}")


if __name__ == "__main__":
    main()
