"""Probes: each measures one thing and hands readings to a sink."""
