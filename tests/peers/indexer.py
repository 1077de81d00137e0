"""`python -m tests.peers.indexer BROKER TOPIC GROUP URL FOLDER`: a consumer that writes each slot to a table.

Its fault: while FOLDER/hang exists it reads nothing and stays in its group; a new start removes that file, as a real
restart frees what hung.
"""

import signal
import sys
import time
from pathlib import Path

import psycopg
from confluent_kafka import Consumer


def main() -> None:
    """Read, write and commit until ended."""
    broker, topic, group, url, folder = sys.argv[1:]
    hang = Path(folder) / "hang"
    hang.unlink(missing_ok=True)
    settings = {
        "bootstrap.servers": broker, "group.id": group, "enable.auto.commit": False, "auto.offset.reset": "earliest",
        "log_level": 0,
    }  # fmt: skip
    consumer = Consumer(settings)
    consumer.subscribe([topic])
    # It leaves its group in good order: the broker of the tests never misses one that does not.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        index(consumer, url, hang)
    finally:
        consumer.close()


def index(consumer: Consumer, url: str, hang: Path) -> None:
    """Write what comes, and commit it."""
    with psycopg.connect(url, autocommit=True) as database:
        while True:
            if hang.exists():
                time.sleep(0.05)
                continue
            message = consumer.poll(0.2)
            if message is None or message.error():
                continue
            database.execute(
                "INSERT INTO slot VALUES (%s, now() AT TIME ZONE 'utc') ON CONFLICT DO NOTHING",
                (int(message.value() or b"0"),),
            )
            consumer.commit(message, asynchronous=False)


if __name__ == "__main__":
    main()
