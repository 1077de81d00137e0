"""Databases that Geyser events end in. Imported only where `geyser.sinks` is set."""
