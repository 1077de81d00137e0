"""Fixtures of the gateway's conformance."""

from tests.support.stand import stand as stand
