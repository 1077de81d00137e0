"""What is shown of pipelines, for Prometheus."""

from prometheus_client import Counter, Gauge

FLOW = Gauge(
    "geyser_pipeline_flow", "1 for how a pipeline stands: ok, slow, losing, stalled, down, unknown.",
    ("pipeline", "flow"),
)  # fmt: skip
BEHIND = Gauge("geyser_pipeline_behind_seconds", "How far the last hop is behind the node.", ("pipeline",))
HOP_DELAY = Gauge("geyser_hop_delay_seconds", "The delay that a hop adds.", ("pipeline", "hop"))
HOP_FLOW = Gauge("geyser_hop_flows", "1 while a hop passes on what comes, if slowly; 0 while not.", ("pipeline", "hop"))
RECOVERIES = Counter("geyser_recoveries", "What pipelines did to mend themselves.", ("pipeline", "step"))
EVALUATION = Gauge("geyser_evaluation_seconds", "How long the last look at every pipeline took.")
