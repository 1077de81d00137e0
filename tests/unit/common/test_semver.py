"""Versions out of what validators print."""

import pytest

from common.semver import Version, parse_version


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("4.2.1", Version(4, 2, 1)),
        ("agave-validator 4.2.1 (src:12345678; feat:9, client:JitoLabs)", Version(4, 2, 1)),
        ("v4.3.0-beta.2", Version(4, 3, 0)),
        ("4.1", None),
        ("10.0.0.1", None),
        ("", None),
    ],
)
def test_versions_are_found_where_there_are_some(text: str, version: Version | None) -> None:
    assert parse_version(text) == version


def test_they_order_and_print_as_people_expect() -> None:
    assert Version(4, 10, 0) > Version(4, 9, 9)
    assert str(Version(4, 2, 1)) == "4.2.1"
