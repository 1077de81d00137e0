"""Signed transactions: read as the block engine reads them, and refused with words that help."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from agent.jito.transactions import read_bundle as read_by_hand
from common.errors import SolwardError
from controlplane.mev.transactions import BASE_FEE, LEAST_TIP, MOST_BYTES, bundle_id, read_bundle
from tests.support.bundles import TESTNET_TIP_ACCOUNT, TIP_ACCOUNT, pay, signed, tipping


def why(transactions: list[bytes], cluster: str = "mainnet") -> str:
    with pytest.raises(SolwardError) as refused:
        read_bundle(transactions, cluster)
    assert refused.value.reason == "BUNDLE_INVALID"
    return refused.value.message


def test_the_id_is_the_block_engines() -> None:
    signatures = (
        "3bC2M9fiACSjkTXZDgeNAuQ4ScTsdKGwR42ytFdhUvikqTmBheUxfsR1fDVsM5ADCMMspuwGkdm1uKbU246x5aE3",
        "8t9hKYEYNbLvNqiSzP96S13XF1C2f1ro271Kdf7bkZ6EpjPLuDff1ywRy4gfaGSTubsM2FeYGDoT64ZwPm1cQUt",
    )
    assert bundle_id(signatures) == "892b79ed49138bfb3aa5441f0df6e06ef34f9ee8f3976c15b323605bae0cf51d"


def test_a_bundle_is_read_whole() -> None:
    payer = Keypair()
    # A transfer and a note: what is built in reserves less than what is not.
    note = Instruction(Pubkey.from_string("MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr"), b"x", [])
    plain = signed(payer, [pay(payer, str(Keypair().pubkey()), 7), note])
    tip = tipping(25_000, units=50_000, price=1_000_001)
    read = read_bundle([plain, tip], "mainnet")
    assert read.tip_lamports == 25_000
    assert read.compute_units == 3_000 + 200_000 + 50_000
    # A compute unit's price is in millionths of a lamport, and what is begun is paid.
    assert read.fee_lamports == 2 * BASE_FEE + 50_001
    assert read.signatures == tuple(str(VersionedTransaction.from_bytes(raw).signatures[0]) for raw in (plain, tip))
    assert read.uid == bundle_id(read.signatures)


@pytest.mark.parametrize("price", [10**12, 2**62, 2**64 - 1])
def test_a_fee_that_nobody_means_to_pay_is_refused(price: int) -> None:
    assert "must not pay over 1,000,000,000,000 lamports of fees" in why([tipping(units=1_400_000, price=price)])
    # To the lamport, however large the product is.
    read = read_bundle([tipping(units=1_399_999, price=700_000_000_007)], "mainnet")
    assert read.fee_lamports == BASE_FEE + (1_399_999 * 700_000_000_007 + 999_999) // 1_000_000


def test_what_no_block_engine_takes_is_refused_with_what_would_be_right() -> None:
    payer = Keypair()
    tip = tipping()
    assert "1 to 5 transactions" in why([])
    assert "1 to 5 transactions" in why([tipping() for _ in range(6)])
    assert "transactions[1] is the same as an earlier one" in why([tip, tip])
    assert "must write a tip account" in why([signed(payer, [pay(payer, str(Keypair().pubkey()), 1)])])
    assert f"tip {LEAST_TIP} lamports at the least, by a plain transfer to a tip account, and tip 999" in why(
        [tipping(999)]
    )
    assert "tip an account of testnet: this is mainnet" in why([tipping(to=TESTNET_TIP_ACCOUNT)])
    assert "tip an account of mainnet: this is testnet" in why([tipping()], "testnet")
    assert f"must be {MOST_BYTES} bytes at the most" in why([bytes(MOST_BYTES + 1)])
    assert "transactions[0] is no transaction" in why([b"{}"])
    assert "has bytes behind its end" in why([tip + b"\0"])
    unsigned = bytearray(tip)
    unsigned[1:65] = bytes(64)
    assert "is not signed: signature 0 does not hold" in why([bytes(unsigned)])


def test_tips_add_up_and_others_payments_are_none() -> None:
    payer = Keypair()
    both = signed(
        payer, [pay(payer, TIP_ACCOUNT, 600), pay(payer, TIP_ACCOUNT, 500), pay(payer, str(payer.pubkey()), 9)]
    )
    assert read_bundle([both], "mainnet").tip_lamports == 1_100


SYSTEM = Pubkey.from_string("1" * 32)
TIP_KEY = Pubkey.from_string(TIP_ACCOUNT)
# Of the system program: a transfer with bytes behind it, which it takes; a transfer from an account with a seed.
PADDED, WITH_SEED = (2).to_bytes(4, "little") + (5 * 10**9).to_bytes(8, "little") + b"\0", (11).to_bytes(4, "little")


@pytest.mark.parametrize(
    ("program", "data"),
    [(Keypair().pubkey(), b""), (SYSTEM, PADDED), (SYSTEM, WITH_SEED)],
    ids=["a program", "padded", "with a seed"],
)
@pytest.mark.parametrize("writable", [True, False])
def test_what_pays_a_tip_account_in_another_way_is_refused_beside_a_plain_tip_too(
    program: Pubkey, data: bytes, writable: bool
) -> None:
    payer = Keypair()
    accounts = [AccountMeta(payer.pubkey(), True, True), AccountMeta(TIP_KEY, False, writable)]
    hidden = Instruction(program, data, accounts)
    for instructions in ([hidden], [pay(payer, TIP_ACCOUNT, 1_000), hidden]):
        raw = signed(payer, instructions)
        assert "transactions[0] may pay a tip account by a plain transfer alone" in why([raw])
        # Nor does an agent send it, whoever asks.
        with pytest.raises(ValueError, match="by a plain transfer alone"):
            read_by_hand([raw])


def test_whose_transactions_are_ours_is_told_by_who_pays_the_tip() -> None:
    me, stranger = Keypair(), Keypair()
    elsewhere = str(Keypair().pubkey())
    raw = [signed(stranger, [pay(stranger, elsewhere, 7)]), signed(me, [pay(me, elsewhere, 1)]), tipping(payer=me)]
    assert read_bundle(raw, "mainnet").own == (1, 2)


@given(st.binary(max_size=300))
def test_no_bytes_do_more_than_be_refused(raw: bytes) -> None:
    with pytest.raises(SolwardError):
        read_bundle([raw], "mainnet")


@given(st.data())
def test_no_change_of_a_signed_transaction_is_taken(data: st.DataObject) -> None:
    raw = bytearray(tipping())
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(SolwardError):
        read_bundle([bytes(raw)], "mainnet")
