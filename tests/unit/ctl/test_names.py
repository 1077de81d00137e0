"""What an operator types, checked before any call."""

import pytest

from ctl import exits, names

UID = "0123456789abcdef" * 2


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("localhost", "localhost:7444"),
        ("cp:1", "cp:1"),
        ("::1", "[::1]:7444"),
        ("[::1]", "[::1]:7444"),
        ("[::1]:9", "[::1]:9"),
    ],
)
def test_port_of_a_server_may_be_left_out(typed: str, read: str) -> None:
    assert names.server(typed) == read


@pytest.mark.parametrize("typed", ["localhost:abc", "localhost:0", "localhost:65536", ":7444", "https://cp", "a b", ""])
def test_what_is_no_server_is_a_usage_error(typed: str) -> None:
    with pytest.raises(exits.Failure) as caught:
        names.server(typed)
    assert caught.value.exit_code == exits.USAGE


@pytest.mark.parametrize("typed", ["SOL", "sol_1", "-", "hosts/", "a/b"])
def test_what_is_no_host_is_a_usage_error(typed: str) -> None:
    with pytest.raises(exits.Failure):
        names.some_host(typed)


def test_host_may_be_typed_as_listed_or_in_full() -> None:
    assert names.host("sol-1") == names.host("hosts/sol-1") == "hosts/sol-1"


def test_operation_is_found_by_the_characters_that_tables_show() -> None:
    whole = f"operations/{UID}"
    assert names.operation(names.short(whole), [whole, f"operations/{'f' * 32}"]) == whole


@pytest.mark.parametrize("known", [[], [f"operations/{UID}", f"operations/{UID[:-1]}0"]])
def test_beginning_of_none_or_of_two_operations_is_refused(known: list[str]) -> None:
    with pytest.raises(exits.Failure, match="begins with"):
        names.operation(UID[:12], known)


def test_what_is_no_operation_is_refused_before_any_call() -> None:
    with pytest.raises(exits.Failure, match="hexadecimal"):
        names.operation("nonsense")
