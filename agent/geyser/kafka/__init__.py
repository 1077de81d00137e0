"""Kafka clusters: how far behind their consumer groups are. Imported only where `geyser.kafka` is set."""
