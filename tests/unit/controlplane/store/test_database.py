"""How the store is opened: by which URLs, and with statements that say the same to each database."""

import pytest
from sqlalchemy import select
from sqlalchemy.exc import ArgumentError

from controlplane.store.database import open_engine
from controlplane.store.order import ByteOrder
from controlplane.store.tables import hosts


@pytest.mark.parametrize(
    ("url", "dialect"),
    [
        ("sqlite:///x.db", "sqlite"),
        ("sqlite+aiosqlite:///x.db", "sqlite"),
        ("postgresql://u:p@h/x", "postgresql"),
        ("postgres://u:p@h/x", "postgresql"),
        ("postgresql+asyncpg:///x?host=/run/postgresql", "postgresql"),
    ],
)
def test_url_says_which_store_it_is_and_is_not_shown(url: str, dialect: str) -> None:
    engine = open_engine(url)
    assert engine.dialect.name == dialect
    assert "p@h" not in engine.url.render_as_string(hide_password=False)


@pytest.mark.parametrize(
    "url",
    ["mysql://u:secret@h/x", "postgresql+psycopg2://u:secret@h/x", "sqlite+secret:///x", "secret", "secret@h/x", ""],
)
def test_url_of_another_database_is_refused_by_the_name_of_its_setting(url: str) -> None:
    with pytest.raises(ArgumentError, match="database_url must begin with") as caught:
        open_engine(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "name"), [("sqlite:///x.db", "hosts.name"), ("postgresql://h/x", 'hosts.name COLLATE "C"')]
)
def test_names_sort_by_their_bytes_in_any_locale(url: str, name: str) -> None:
    column = ByteOrder(hosts.c.name)
    statement = select(hosts.c.uid).where(column > "a").order_by(column)
    written = str(statement.compile(dialect=open_engine(url).dialect))
    assert f"WHERE {name} >" in written
    assert written.endswith(f"ORDER BY {name}")
