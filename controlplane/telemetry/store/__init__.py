"""The telemetry store: samples of the last 90 days hot, everything older cold."""
