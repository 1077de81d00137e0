# ruff: noqa: SLF001 -- the names of what librdkafka itself finds wrong begin with an underscore.
"""What goes wrong with a cluster, in a few classes that a person can act on."""

from typing import Final

from confluent_kafka import KafkaError

TLS: Final = "tls"
AUTH: Final = "auth"
NOT_ALLOWED: Final = "not_allowed"
UNREACHABLE: Final = "unreachable"
TIMEOUT: Final = "timeout"
UNSUPPORTED: Final = "unsupported"
ANSWER: Final = "answer"
MOVING: Final = "moving"
GONE: Final = "gone"
OTHER: Final = "other"

_CLASSES: Final[dict[int, str]] = {
    KafkaError._SSL: TLS,
    KafkaError._AUTHENTICATION: AUTH,
    KafkaError.SASL_AUTHENTICATION_FAILED: AUTH,
    KafkaError.UNSUPPORTED_SASL_MECHANISM: AUTH,
    KafkaError.ILLEGAL_SASL_STATE: AUTH,
    KafkaError.TOPIC_AUTHORIZATION_FAILED: NOT_ALLOWED,
    KafkaError.GROUP_AUTHORIZATION_FAILED: NOT_ALLOWED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: NOT_ALLOWED,
    KafkaError._RESOLVE: UNREACHABLE,
    KafkaError._TRANSPORT: UNREACHABLE,
    KafkaError._ALL_BROKERS_DOWN: UNREACHABLE,
    KafkaError._TIMED_OUT: TIMEOUT,
    KafkaError._TIMED_OUT_QUEUE: TIMEOUT,
    KafkaError.REQUEST_TIMED_OUT: TIMEOUT,
    KafkaError._UNSUPPORTED_FEATURE: UNSUPPORTED,
    KafkaError.UNSUPPORTED_VERSION: UNSUPPORTED,
    KafkaError._BAD_MSG: ANSWER,
    KafkaError.LEADER_NOT_AVAILABLE: MOVING,
    KafkaError.NOT_LEADER_FOR_PARTITION: MOVING,
    KafkaError.COORDINATOR_NOT_AVAILABLE: MOVING,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS: MOVING,
    KafkaError.NOT_COORDINATOR: MOVING,
    KafkaError.BROKER_NOT_AVAILABLE: MOVING,
    KafkaError.UNKNOWN_TOPIC_OR_PART: GONE,
    KafkaError._UNKNOWN_TOPIC: GONE,
    KafkaError._UNKNOWN_PARTITION: GONE,
    KafkaError._NOENT: GONE,
    KafkaError.GROUP_ID_NOT_FOUND: GONE,
}
# What a failed connection says of itself is closer to the truth than the call that then found no broker.
TELLING: Final = (AUTH, TLS)


class KafkaFailed(Exception):
    """A cluster that could not be asked.

    Attributes:
        kind: the class of the failure.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message


def kind_of(error: KafkaError) -> str:
    """Class an error."""
    return _CLASSES.get(error.code(), OTHER)
