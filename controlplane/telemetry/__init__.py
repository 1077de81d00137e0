"""Telemetry: the live ring, what is made of it, and the exporters."""
