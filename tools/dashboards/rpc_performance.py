"""rpc-performance: how fast and how well the nodes answer."""

from tools.dashboards.model import Board, Row, figure, graph

_CHOSEN = '{host=~"$host", method=~"$method"}'
_RATE = f"rate(solana_rpc_latency_seconds_bucket{_CHOSEN}[$__rate_interval])"
_REQUESTS = f"rate(solana_rpc_requests_total{_CHOSEN}[$__rate_interval])"
_ERRORS = f"rate(solana_rpc_errors_total{_CHOSEN}[$__rate_interval])"
_SKIPPED = f"rate(solana_rpc_skipped_total{_CHOSEN}[$__rate_interval])"


def _quantile(share: float, by: str) -> str:
    return f"histogram_quantile({share}, sum by ({by}) ({_RATE}))"


_NOW = Row(
    "Now",
    (
        figure(
            "Fleet health",
            "The mean of all hosts' scores, 0 to 100: docs/health.md.",
            "none",
            "solana_rpc_fleet_health_score",
            (80, 50),
        ),
        figure("Calls a second", "What the probes ask.", "reqps", f"sum({_REQUESTS})"),
        figure(
            "Error rate",
            "Share of calls that failed.",
            "percentunit",
            f"(sum({_ERRORS}) or vector(0)) / sum({_REQUESTS})",
            (0.01, 0.05),
        ),
        figure("p99", "Of all chosen methods together.", "s", _quantile(0.99, "le"), (0.5, 1)),
        figure(
            "Slots behind",
            "The host that is farthest behind the majority outside.",
            "none",
            'max(solana_rpc_slot_lag{host=~"$host"})',
            (10, 150),
        ),
        figure(
            "Unusual hosts",
            "ctl rpc health says what is unusual of them, ctl rpc explain what moves with it.",
            "none",
            'sum(solana_rpc_unusual{host=~"$host"})',
            (1, 3),
        ),
    ),
)

_LATENCY = Row(
    "Latency",
    (
        graph(
            "p50, p95 and p99 by method",
            "Over the chosen hosts; hosts side by side are beside it.",
            "s",
            (_quantile(0.99, "le, method"), "{{method}} p99"),
            (_quantile(0.95, "le, method"), "{{method}} p95"),
            (_quantile(0.5, "le, method"), "{{method}} p50"),
        ),
        graph("p99 by host", "Of the chosen methods together.", "s", (_quantile(0.99, "le, host"), "{{host}}")),
        graph(
            "All calls",
            "How many calls took how long.",
            "s",
            (f"sum by (le) ({_RATE.replace('rate(', 'increase(', 1)})", "{{le}}"),
            kind="heatmap",
        ),
        graph(
            "A fresh connection",
            "TCP and TLS, before the first byte.",
            "s",
            ('solana_rpc_connect_seconds{host=~"$host"}', "{{host}}"),
        ),
    ),
)

_FAILED = Row(
    "Errors",
    (
        graph(
            "Errors by class",
            "timeout and transport: nothing came back. jsonrpc_-32005: the node is behind.",
            "reqps",
            (f"sum by (host, class) ({_ERRORS})", "{{host}} {{class}}"),
        ),
        graph(
            "Error rate by method",
            "Over five minutes.",
            "percentunit",
            (f"solana:rpc_error:ratio_rate5m{_CHOSEN}", "{{host}} {{method}}"),
            steps=(0.01, 0.05),
        ),
        graph(
            "Methods that a node does not offer",
            "Found by asking, and left alone since.",
            "none",
            ('solana_rpc_not_offered{host=~"$host"} == 1', ""),
            kind="table",
        ),
        graph(
            "Turns not taken",
            "The budget of calls was used up, or an earlier call was still under way.",
            "reqps",
            (f"sum by (host, method) ({_SKIPPED})", "{{host}} {{method}}"),
        ),
    ),
)

_HEALTH = Row(
    "Health and slots",
    (
        graph(
            "Health by host",
            "0 to 100; docs/health.md tells of each part.",
            "none",
            ('solana_rpc_host_health_score{host=~"$host"}', "{{host}}"),
            steps=(80, 50),
        ),
        graph(
            "Health by method",
            "The lowest of the chosen hosts.",
            "none",
            (f"min by (method) (solana_rpc_health_score{_CHOSEN})", "{{method}}"),
            steps=(80, 50),
        ),
        graph(
            "Slots behind",
            "Against what a majority of the references says.",
            "none",
            ('solana_rpc_slot_lag{host=~"$host"}', "{{host}}"),
            steps=(10, 150),
        ),
        graph(
            "Pushed slots",
            "Between two slots of the subscription, and how late each came.",
            "s",
            ('solana_ws_gap_seconds{host=~"$host"}', "{{host}} gap"),
            ('solana_ws_delay_seconds{host=~"$host"}', "{{host}} delay"),
        ),
    ),
)

BOARD = Board(
    uid="rpc-performance",
    title="Solward: RPC performance",
    about="Latency, errors and health of the Solana JSON-RPC methods of every host.",
    variables={
        "host": "label_values(solward_host_connected, host)",
        "method": 'label_values(solana_rpc_requests_total{host=~"$host"}, method)',
    },
    rows=(_NOW, _LATENCY, _FAILED, _HEALTH),
)
