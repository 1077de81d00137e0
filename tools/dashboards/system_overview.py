"""system-overview: how Solward itself fares."""

from tools.dashboards.model import Board, Row, figure, graph

_REFUSED = '{code!="OK"}'


def _rate(name: str, match: str = "") -> str:
    return f"rate({name}{match}[$__rate_interval])"


_NOW = Row(
    "Now",
    (
        figure("Agents connected", "Of those that are enrolled and active.", "none", "sum(solward_host_connected)"),
        figure(
            "Agents away",
            "ctl hosts list says since when.",
            "none",
            "count(solward_host_connected) - sum(solward_host_connected)",
            (1, 3),
        ),
        figure("Samples a second", "What arrives.", "cps", f"sum({_rate('solward_ingest_samples_total')})"),
        figure(
            "Breakers open",
            "Connections to other systems that do not answer.",
            "none",
            'sum(solward_breaker_state{state="open"}) or vector(0)',
            (1, 2),
        ),
        figure(
            "Next certificate ends in",
            "Of any kind; agents renew theirs by themselves.",
            "s",
            "min(solward_certificate_expiry_seconds)",
            (86_400, 21_600),
        ),
        figure("Memory", "Of the control plane.", "bytes", 'process_resident_memory_bytes{job="solward"}'),
    ),
)

_CALLS = Row(
    "Calls",
    (
        graph(
            "Calls a second",
            "By method.",
            "reqps",
            (f"sum by (method) ({_rate('solward_grpc_call_seconds_count')})", "{{method}}"),
        ),
        graph(
            "p99 of calls",
            "By method; promised are 50 ms.",
            "s",
            (
                f"histogram_quantile(0.99, sum by (le, method) ({_rate('solward_grpc_call_seconds_bucket')}))",
                "{{method}}",
            ),
            steps=(0.05, 0.5),
        ),
        graph(
            "Refused and failed calls",
            "By gRPC status.",
            "reqps",
            (
                f"sum by (method, code) ({_rate('solward_grpc_call_seconds_count', _REFUSED)})",
                "{{method}} {{code}}",
            ),
        ),
        graph(
            "Processor",
            "Of the control plane, in cores.",
            "none",
            (_rate("process_cpu_seconds_total", '{job="solward"}'), "cores"),
        ),
    ),
)

_TELEMETRY = Row(
    "Telemetry",
    (
        graph(
            "Batches",
            "duplicate: an agent sent it again after it had lost its stream.",
            "cps",
            (f"sum by (outcome) ({_rate('solward_ingest_batches_total')})", "{{outcome}}"),
        ),
        graph(
            "Samples dropped",
            "Unknown or out of range, or too old to be shown live.",
            "cps",
            (f"sum by (reason) ({_rate('solward_ingest_dropped_samples_total')})", "{{reason}}"),
        ),
        graph(
            "Stored",
            "Samples that were written, and those that were refused or lost.",
            "cps",
            (f"sum by (outcome) ({_rate('solward_store_samples_total')})", "{{outcome}}"),
        ),
        graph(
            "Waiting to be stored",
            "More and more: the store is too slow, or does not answer.",
            "short",
            ("solward_store_queued_samples", "samples"),
            steps=(500_000, 1_500_000),
        ),
        graph(
            "Series",
            "4,096 of one host, 200,000 in all.",
            "short",
            ("solward_store_series", "stored"),
            steps=(150_000, 200_000),
        ),
        graph(
            "Hot file",
            "docs/telemetry.md says what a series takes.",
            "bytes",
            ("solward_store_hot_bytes", "hot.duckdb"),
        ),
    ),
)

_TRUST = Row(
    "Agents and trust",
    (
        graph(
            "Agents",
            "Connected while the stream of an agent is open.",
            "none",
            ("solward_host_connected", "{{host}}"),
            kind="states",
            words=("away", "connected"),
        ),
        graph(
            "Alerts",
            "What fires, by rule.",
            "none",
            ("sum by (rule, severity) (solward_alert_firing)", "{{rule}} {{severity}}"),
        ),
        graph(
            "Connections to other systems",
            "Open: it does not answer; half-open: it is being tried.",
            "none",
            (
                'sum by (name) (solward_breaker_state{state="half-open"})'
                ' + 2 * sum by (name) (solward_breaker_state{state="open"})',
                "{{name}}",
            ),
            kind="states",
            words=("closed", "half-open", "open"),
        ),
        graph(
            "Certificates",
            "Until each ends.",
            "s",
            ("solward_certificate_expiry_seconds", "{{kind}} {{name}}"),
        ),
        graph(
            "Audit witnesses",
            "Agents, by what they hold of the audit log.",
            "none",
            ("solward_audit_witnesses", "{{verdict}}"),
        ),
        graph(
            "Audit disputes",
            "More than none: somebody shows different logs to different hosts.",
            "none",
            ("solward_audit_disputes_total", "disputes"),
            steps=(1, 2),
        ),
    ),
)

BOARD = Board(
    uid="system-overview",
    title="Solward: system overview",
    about="The control plane, its agents, what it takes in and stores, and its connections to other systems.",
    rows=(_NOW, _CALLS, _TELEMETRY, _TRUST),
)
