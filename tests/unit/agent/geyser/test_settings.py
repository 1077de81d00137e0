"""Settings of Geyser pipelines: read whole, or refused with the name of what is wrong."""

from pathlib import Path

import pytest

from agent.settings import SettingsError, load


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "agent.yaml"


def test_every_setting_is_read(file: Path) -> None:
    file.write_text("""
server: s
geyser:
  kafka:
    main:
      brokers: ["kafka-1:9093", "[::1]:9092"]
      groups: ["solana-*"]
      topics: ["solana.*"]
      kinds: {solana.accounts: account, solana.slots: slot}
      read_committed: true
      tls: {ca_file: /c, cert_file: /d, key_file: /k}
      sasl: {mechanism: SCRAM-SHA-512, user: u, password_file: /p}
      period_seconds: 10
  sinks:
    accounts-db: {postgresql: {url_file: /u, tables: {slots: {table: s.slot, slot_column: slot, time_column: at}}}}
    warehouse: {clickhouse: {url: "https://ch-1:8443", user: u, password_file: /p, database: geyser}}
""")
    geyser = load(file).geyser
    assert geyser
    main = geyser.kafka["main"]
    assert (main.groups, main.kinds["solana.slots"], main.period_seconds) == (("solana-*",), "slot", 10)
    assert main.tls
    assert main.sasl
    assert (main.tls.key_file, main.sasl.password_file) == (Path("/k"), Path("/p"))
    postgresql, clickhouse = geyser.sinks["accounts-db"].postgresql, geyser.sinks["warehouse"].clickhouse
    assert postgresql
    assert clickhouse
    assert postgresql.tables["slots"].time_column == "at"
    assert (clickhouse.database, clickhouse.budget.queries_per_minute) == ("geyser", 240)


GOOD = "a: {brokers: ['h:1']}"


@pytest.mark.parametrize(("wrong", "said"), [
    ("kafka: {a: {brokers: []}}", r"brokers"),
    ("kafka: {a: {brokers: ['h']}}", r"brokers"),
    ("kafka: {a: {brokers: ['h:99999']}}", r"geyser\.kafka\.a\.brokers: .* port"),
    ("kafka: {a: {brokers: ['h:1'], tls: {cert_file: /c}}}", r"geyser\.kafka\.a\.tls: .* both or neither"),
    ("kafka: {a: {brokers: ['h:1'], sasl: {mechanism: PLAIN, user: u, password_file: /p}}}", r"a\.sasl: .*add tls"),
    ("kafka: {a: {brokers: ['h:1'], sasl: {mechanism: GSSAPI, user: u, password_file: /p}}}", r"mechanism"),
    ("kafka: {a: {brokers: ['h:1'], kinds: {t: vote}}}", r"kinds"),
    ("kafka: {A: {brokers: ['h:1']}}", r"geyser\.kafka"),
    ("kafka: {a: {brokers: ['h:1'], partitions: 1}}", r"partitions"),
    (f"kafka: {{{GOOD}}}, sinks: {{a: {{postgresql: {{url_file: /u}}}}}}", r"\.sinks\.a: kafka has .* another name"),
    ("sinks: {a: {}}", r"geyser\.sinks\.a: must name one"),
    ("sinks: {a: {postgresql: {url_file: /u}, clickhouse: {url: 'http://h', database: d}}}", r"must name one"),
    ("sinks: {a: {clickhouse: {url: 'https://u:p@h', database: d}}}", r"geyser\.sinks\.a\.clickhouse\.url: .* no user"),
    ("sinks: {a: {clickhouse: {url: 'http://h', database: d, password_file: /p}}}", r"clickhouse\.url: must be https"),
    ("sinks: {a: {clickhouse: {url: 'ftp://h', database: d}}}", r"url"),
    ("sinks: {a: {postgresql: {url_file: /u, tables: {t: {table: a.b.c}}}}}", r"table"),
])  # fmt: skip
def test_what_cannot_be_is_refused_by_name(file: Path, wrong: str, said: str) -> None:
    file.write_text(f"server: s\ngeyser: {{{wrong}}}\n")
    with pytest.raises(SettingsError, match=said):
        load(file)


def test_passwords_may_go_in_clear_on_the_host_itself(file: Path) -> None:
    file.write_text("""
server: s
geyser:
  kafka: {a: {brokers: ["127.0.0.1:9092"], sasl: {mechanism: PLAIN, user: u, password_file: /p}}}
  sinks: {b: {clickhouse: {url: "http://127.0.0.1:8123", database: d, password_file: /p}}}
""")
    assert load(file).geyser
