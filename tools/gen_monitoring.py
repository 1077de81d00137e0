"""Write what Prometheus and Alertmanager are set up with: packaging/monitoring/."""

import sys
from pathlib import Path
from typing import Any

import yaml

HEAD = "# Made by `make gen`; docs/monitoring.md says how it is used.\n"
_BY_METHOD = "by (host, method)"
_BUCKETS = f"sum {_BY_METHOD[:-1]}, le) (rate(solana_rpc_latency_seconds_bucket[5m]))"


def alertmanager() -> dict[str, Any]:
    """Say who is told of what: the gravest wake somebody, others are read, and one cause is told once."""
    return {
        "global": {"resolve_timeout": "5m"},
        "route": {
            "receiver": "slack",
            "group_by": ["cluster", "alertname", "host"],
            "group_wait": "10s",
            "group_interval": "1m",
            "repeat_interval": "4h",
            "routes": [
                {"receiver": "watchdog", "matchers": ['alertname="SolwardWatchdog"'], "repeat_interval": "1m"},
                {"receiver": "nobody", "matchers": ['severity="info"']},
                {"receiver": "pagerduty", "matchers": ['severity="critical"'], "continue": True},
                {"receiver": "slack", "matchers": ['severity=~"critical|error|warning"']},
            ],
        },
        "inhibit_rules": [
            # Without its agent nothing is known of a validator.
            _inhibit(['alertname=~"AgentOffline|SolwardHostOffline"'], ['subject="validator"'], "cluster", "host"),
            _inhibit(['alertname="ValidatorDown"'], ['subject="validator"', 'alertname!="ValidatorDown"'],
                     "cluster", "host"),
            # What a control plane that is gone would tell of every host.
            _inhibit(['alertname="SolwardControlPlaneDown"'], ['alertname="SolwardHostOffline"']),
        ],
        "receivers": [
            {"name": "nobody"},
            # A service that calls you when this stops coming, for example a dead man's switch.
            {"name": "watchdog"},
            {
                "name": "pagerduty",
                "pagerduty_configs": [
                    {
                        "routing_key_file": "/etc/alertmanager/pagerduty.key",
                        "severity": "{{ .CommonLabels.severity }}",
                        "class": "{{ .CommonLabels.alertname }}",
                        "component": "{{ .CommonLabels.host }}",
                        "group": "{{ .CommonLabels.cluster }}",
                        "description": '{{ .CommonLabels.host }}: {{ (index .Alerts 0).Annotations.summary }}',
                        "details": {"evidence": '{{ (index .Alerts 0).Annotations.description }}',
                                    "advice": '{{ (index .Alerts 0).Annotations.advice }}'},
                    }
                ],
            },
            {
                "name": "slack",
                "slack_configs": [
                    {
                        "api_url_file": "/etc/alertmanager/slack.url",
                        "send_resolved": True,
                        "color": '{{ if eq .Status "firing" }}danger{{ else }}good{{ end }}',
                        "title": '{{ .Status }}: {{ .CommonLabels.alertname }} {{ .CommonLabels.host }}',
                        "text": "{{ range .Alerts }}{{ .Annotations.summary }} {{ .Labels.detail }}\n"
                                "{{ .Annotations.description }}\n{{ .Annotations.advice }}\n{{ end }}",
                    }
                ],
            },
        ],
    }  # fmt: skip


def rules() -> dict[str, Any]:
    """What Prometheus works out, and what it calls wrong, besides what the control plane finds itself."""
    groups = {"solward-records": _records(), "solward-alerts": _alerts()}
    return {"groups": [{"name": name, "rules": rules} for name, rules in groups.items()]}


def _records() -> list[dict[str, Any]]:
    errors, requests = "sum {0} (rate(solana_rpc_errors_total[5m]))", "sum {0} (rate(solana_rpc_requests_total[5m]))"
    # A method that never failed has no errors to divide.
    ratio = f"({errors} or {requests} * 0) / ({requests} > 0)"
    return [
        {"record": "solana:rpc_requests:rate5m", "expr": requests.format(_BY_METHOD)},
        {"record": "solana:rpc_error:ratio_rate5m", "expr": ratio.format(_BY_METHOD)},
        *(
            {"record": f"solana:rpc_latency_seconds:p{q}_5m", "expr": f"histogram_quantile(0.{q}, {_BUCKETS})"}
            for q in ("50", "95", "99")
        ),
        {"record": "solana:validators:active", "expr": 'count by (job) (solana_validator_status{state="active"} == 1)'},
    ]


def _alerts() -> list[dict[str, Any]]:
    return [
        {"alert": "SolwardWatchdog", "expr": "vector(1)", "labels": {"severity": "info", "subject": "monitor"},
         "annotations": {"summary": "alerts come through; it is wrong when this stops"}},
        _alert("SolwardControlPlaneDown", 'up{job="solward"} == 0', "1m", "critical", "monitor",
               "Prometheus cannot read the control plane", "systemctl status solward-controlplane"),
        _alert("SolwardHostOffline", "solward_host_connected == 0", "2m", "error", "monitor",
               "no agent is connected for {{ $labels.host }}", "look at the host and at solward-agent on it"),
        _alert("SolwardBreakerOpen", 'solward_breaker_state{state="open"} == 1', "2m", "warning", "monitor",
               "{{ $labels.name }} does not answer the control plane", "ctl status shows what is tried and when"),
        _alert("SolwardCertificateEnds", "solward_certificate_expiry_seconds < 6 * 3600", "5m", "error", "monitor",
               "a certificate of kind {{ $labels.kind }} ends in {{ $value | humanizeDuration }}: {{ $labels.name }}",
               "ctl hosts list, ctl certs list: see why it is not renewed"),
        _alert("SolwardSamplesDropped", "sum by (job, reason) (rate(solward_ingest_dropped_samples_total[5m])) > 0",
               "10m", "warning", "monitor", "samples are dropped: {{ $labels.reason }}",
               "a host may send too many series"),
        _alert("SolwardLokiBehind", "solward_loki_lag_seconds > 600", "1m", "warning", "monitor",
               "logs have waited for Loki for {{ $value | humanizeDuration }}",
               "ctl status, and the control plane's log, say why; nothing is lost while the store has room"),
        _alert("SolwardLogsDropped", "sum by (job, reason) (increase(solward_loki_dropped_total[15m])) > 0",
               "0m", "warning", "monitor", "log entries never reach Loki: {{ $labels.reason }}",
               "the reasons are in docs/logs.md"),
        _alert("SolwardRemoteWriteBehind", "solward_remote_write_lag_seconds > 300", "1m", "warning", "monitor",
               "samples have waited for {{ $labels.receiver }} for {{ $value | humanizeDuration }}",
               "ctl status, and the control plane's log, say why; after remote_write.queue_minutes samples are lost"),
        _alert("SolwardRemoteWriteLoses",
               'sum by (job, receiver, outcome) '
               '(increase(solward_remote_write_samples_total{outcome!="sent"}[15m])) > 0',
               "0m", "warning", "monitor", "samples never reach {{ $labels.receiver }}: {{ $labels.outcome }}",
               "refused: the control plane's log says why; dropped: it was away for too long"),
        _alert("SolanaRpcErrors", "solana:rpc_error:ratio_rate5m > 0.05", "5m", "warning", "validator",
               "{{ $value | humanizePercentage }} of {{ $labels.method }} fail on {{ $labels.host }}",
               "ctl rpc latency shows their classes"),
        _alert("SolanaRpcSlow", "solana:rpc_latency_seconds:p99_5m > 1", "5m", "warning", "validator",
               "p99 of {{ $labels.method }} on {{ $labels.host }} is {{ $value | humanizeDuration }}",
               "ctl rpc latency --watch"),
        _alert("SolanaNodeBehind", "solana_rpc_slot_lag > 150", "1m", "error", "validator",
               "{{ $labels.host }} is {{ $value }} slots behind", "ctl rpc connections; is the node starting?"),
        _alert("SolanaMonitorUnreliable", "solana_rpc_monitor_reliable == 0", "5m", "warning", "monitor",
               "the references of {{ $labels.host }} do not answer or do not agree", "rpc.references of its agent"),
    ]  # fmt: skip


def _alert(name: str, expr: str, within: str, severity: str, subject: str, summary: str, advice: str) -> dict[str, Any]:
    labels = {"severity": severity, "subject": subject}
    return {"alert": name, "expr": expr, "for": within, "labels": labels,
            "annotations": {"summary": summary, "advice": advice}}  # fmt: skip


def _inhibit(source: list[str], target: list[str], *equal: str) -> dict[str, Any]:
    return {"source_matchers": source, "target_matchers": target} | ({"equal": list(equal)} if equal else {})


def write(folder: Path) -> None:
    """Write every file into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in (("alertmanager.yml", alertmanager()), ("rules.yml", rules())):
        (folder / name).write_text(HEAD + yaml.safe_dump(content, sort_keys=False, width=118))


if __name__ == "__main__":
    write(Path(sys.argv[1] if len(sys.argv) > 1 else "packaging/monitoring"))
