"""The telemetry store: one suite for DuckDB and for VictoriaMetrics."""
