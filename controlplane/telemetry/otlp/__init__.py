"""OpenTelemetry: traces, metrics and logs on their way to a collector, by OTLP over gRPC."""
