"""Geyser pipelines as they are seen from a host: what feeds them, and what they end in."""
