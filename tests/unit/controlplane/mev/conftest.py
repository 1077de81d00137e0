"""Control planes that live one after the other on one store."""

from tests.support.bundle_world import make

__all__ = ["make"]
