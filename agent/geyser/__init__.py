"""Geyser pipelines as they are seen from a host: Kafka clusters and databases that events end in."""
