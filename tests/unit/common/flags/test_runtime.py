"""What a running validator can be told, in the words of its version."""

from common.base58 import decode_key
from common.flags.arguments import Argument
from common.flags.runtime import split
from common.semver import Version
from tests.peers.validator_state import key_of

V42 = Version(4, 2, 1)


def args(*flags: str) -> list[Argument]:
    pairs = (flag.partition("=") for flag in flags)
    return [Argument(name, value if equals else None) for name, equals, value in pairs]


def test_the_number_of_parameters_is_the_versions() -> None:
    after = args("block-engine-url=https://a", "trust-block-engine-packets")
    assert split([], after, Version(2, 3, 0)).calls == [("setBlockEngineConfig", ["https://a", True])]
    assert split([], after, V42).calls == [("setBlockEngineConfig", ["https://a", False, True])]


def test_keys_are_numbers_and_lists_are_joined() -> None:
    key = key_of("a")
    after = args(f"repair-whitelist={key}", "shred-receiver-address=1.2.3.4:5", "shred-receiver-address=1.2.3.4:6")
    assert split([], after, V42).calls == [
        ("setShredReceiverAddress", ["1.2.3.4:5,1.2.3.4:6"]), ("setRepairWhitelist", [[list(decode_key(key))]]),
    ]  # fmt: skip


def test_all_flags_of_a_call_are_told_together() -> None:
    before = args("relayer-url=http://r", "relayer-max-failed-heartbeats=5")
    after = args("relayer-url=http://s", "relayer-max-failed-heartbeats=5")
    assert split(before, after, V42).calls == [("setRelayerConfig", ["http://s", 500, 5])]


def test_what_a_version_cannot_be_told_waits() -> None:
    after = args("public-tvu-address=1.2.3.4:5", "rpc-threads=8", "bam-url=http://b")
    assert split([], after, Version(3, 1, 0)) == ([("setBamUrl", ["http://b"])], ["public-tvu-address", "rpc-threads"])
    assert split([], after, None) == ([], ["bam-url", "public-tvu-address", "rpc-threads"])


def test_an_empty_value_is_told_only_where_it_is_taken() -> None:
    assert split(args("bam-url=http://b"), [], V42) == ([("setBamUrl", [""])], [])
    assert split(args("block-engine-url=http://b"), [], V42) == ([], ["block-engine-url"])


def test_what_has_not_changed_is_not_told() -> None:
    same = args("bam-url=http://b", "rpc-threads=8")
    assert split(same, same, V42) == ([], [])
