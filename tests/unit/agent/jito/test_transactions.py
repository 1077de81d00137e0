"""Transactions read by hand: the same as the library reads, and nothing that it would not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.keypair import Keypair

from agent.jito.transactions import bundle_id, read_bundle, read_transaction
from controlplane.mev import transactions as library
from tests.support.bundles import TESTNET_TIP_ACCOUNT, TIP_ACCOUNT, pay, signed, tipping

# Of bundles that were published.
SIGNATURES = (
    "3bC2M9fiACSjkTXZDgeNAuQ4ScTsdKGwR42ytFdhUvikqTmBheUxfsR1fDVsM5ADCMMspuwGkdm1uKbU246x5aE3",
    "8t9hKYEYNbLvNqiSzP96S13XF1C2f1ro271Kdf7bkZ6EpjPLuDff1ywRy4gfaGSTubsM2FeYGDoT64ZwPm1cQUt",
)
IDENT = "892b79ed49138bfb3aa5441f0df6e06ef34f9ee8f3976c15b323605bae0cf51d"


def test_the_id_is_the_one_that_the_engine_gave() -> None:
    assert bundle_id(SIGNATURES) == IDENT


@given(st.lists(st.integers(0, 2**62), min_size=1, max_size=5), st.booleans())
def test_a_bundle_reads_as_the_library_reads_it(tips: list[int], budget: bool) -> None:
    raw = [tipping(tip, units=1000 if budget else 0, price=7 if budget else 0) for tip in tips]
    read = read_bundle(raw)
    each = [library._read(0, one, "mainnet") for one in raw]
    assert read.ident == library.bundle_id([one.signature for one in each])
    assert read.tip_lamports == sum(one.tip_lamports for one in each) == sum(tips)


def test_tips_of_both_clusters_count_and_other_transfers_do_not() -> None:
    payer = Keypair()
    raw = signed(payer, [pay(payer, TIP_ACCOUNT, 5), pay(payer, TESTNET_TIP_ACCOUNT, 7),
                         pay(payer, str(Keypair().pubkey()), 1_000)])  # fmt: skip
    assert read_transaction(raw).tip_lamports == 12


@given(st.binary(max_size=200), st.integers(0, 400), st.integers(0, 255))
def test_whatever_comes_is_read_or_refused_in_words(noise: bytes, place: int, byte: int) -> None:
    good = tipping()
    changed = bytearray(good)
    changed[place % len(good)] = byte
    for raw in (noise, bytes(changed), good[: place % len(good)], good + noise):
        try:
            read_transaction(raw)
        except ValueError as error:
            assert str(error)


@pytest.mark.parametrize(("raw", "words"), [
    ([], "1 to 5 transactions"), ([tipping()] * 6, "1 to 5"), ([tipping(), b""], "transactions[1]"),
    ([b"\0"], "not signed"), ([bytes(1233)], "1232 bytes"), ([tipping() + b"x"], "behind its end"),
    ([tipping()[:80]], "too early"), ([b"\xff\xff\xff\xff"], "too long"),
    ([b"\1" + bytes(64) + b"\x81" + bytes(80)], "version is 1"),
])  # fmt: skip
def test_what_is_wrong_is_said(raw: list[bytes], words: str) -> None:
    with pytest.raises(ValueError) as refused:
        read_bundle(raw)
    assert words in str(refused.value)
