"""mev-tracking: what becomes of bundles, what they cost, and how the block engine is reached."""

from tools.dashboards.model import Board, Row, figure, graph

_HOST = '{host=~"$host"}'


def _rate(name: str, match: str = "") -> str:
    return f"rate({name}{match}[$__rate_interval])"


_NOW = Row(
    "Now",
    (
        figure(
            "Acceptance",
            "Share of observed bundles that won an auction, of the last 500 of a host.",
            "percentunit",
            f"avg(jito_bundle_acceptance_rate{_HOST})",
            (0.5, 0.2),
        ),
        figure(
            "Landing",
            "Share of bundles that landed, of those of which it is known.",
            "percentunit",
            f"avg(jito_bundle_landing_rate{_HOST})",
            (0.5, 0.2),
        ),
        figure("Bundles under way", "More is to become known of them.", "none", "jito_bundles_followed"),
        figure(
            "Budget left today",
            "In lamports; with none nothing is sent.",
            "short",
            'sum(jito_tip_budget_lamports{part="daily"}) - sum(jito_tip_budget_lamports{part=~"spent|reserved"})',
        ),
        figure(
            "Congestion",
            "The median tip against the last hour's; 1 is usual.",
            "none",
            "jito_tip_congestion",
            (2, 5),
        ),
        figure(
            "Results streams down",
            "Regions whose results are not heard: silence means nothing there.",
            "none",
            f"count(jito_results_stream_up{_HOST}) - sum(jito_results_stream_up{_HOST})",
            (1, 3),
        ),
    ),
)

_BUNDLES = Row(
    "Bundles",
    (
        graph(
            "Bundles by what became of them",
            "finalized landed for good; expired did not, and why; of unknown nobody can tell.",
            "cps",
            (f"sum by (outcome, reason) ({_rate('jito_bundles_ended_total', _HOST)})", "{{outcome}} {{reason}}"),
        ),
        graph(
            "Submitted",
            "By strategy.",
            "cps",
            (f"sum by (strategy) ({_rate('jito_bundles_submitted_total')})", "{{strategy}}"),
        ),
        graph(
            "Acceptance and landing",
            "Of the last 500 of a host.",
            "percentunit",
            (f"jito_bundle_acceptance_rate{_HOST}", "{{host}} accepted"),
            (f"jito_bundle_landing_rate{_HOST}", "{{host}} landed"),
        ),
        graph(
            "Refused",
            "Never sent: what was wrong with them, or no budget left.",
            "cps",
            (f"sum by (reason) ({_rate('jito_bundles_refused_total')})", "{{reason}}"),
        ),
    ),
)

_MONEY = Row(
    "Tips",
    (
        graph(
            "Tips that landed",
            "Everybody's, by percentile; a median tip is not one that lands every second time.",
            "short",
            ("jito_tip_floor_lamports", "{{percentile}}"),
        ),
        graph(
            "Tipped and earned",
            "Lamports a second, by strategy; earned is before tip and fees.",
            "short",
            (f"sum by (strategy) ({_rate('jito_tip_lamports_total')})", "{{strategy}} tipped"),
            (f"sum by (strategy) ({_rate('jito_profit_lamports_total')})", "{{strategy}} earned"),
        ),
        graph(
            "Budget",
            "Of a day (UTC), what was spent of it, and what may be spent yet.",
            "short",
            ("jito_tip_budget_lamports", "{{part}}"),
        ),
    ),
)

_REGIONS = Row(
    "Regions",
    (
        graph(
            "Round trip",
            "To each region, from each host.",
            "s",
            (f"jito_region_rtt_seconds{_HOST}", "{{host}} {{region}}"),
        ),
        graph(
            "Results streams",
            "Down: what becomes of bundles there is seen on the chain alone.",
            "none",
            (f"jito_results_stream_up{_HOST}", "{{host}} {{region}}"),
            kind="states",
            words=("down", "up"),
        ),
        graph(
            "Sends",
            "By region and what the block engine answered.",
            "cps",
            (f"sum by (region, outcome) ({_rate('jito_sends_total', _HOST)})", "{{region}} {{outcome}}"),
        ),
        graph(
            "Limiter",
            "Until the next call is allowed.",
            "s",
            (f"jito_limiter_wait_seconds{_HOST}", "{{host}} {{region}}"),
        ),
    ),
)

BOARD = Board(
    uid="mev-tracking",
    title="Solward: MEV tracking",
    about="What becomes of bundles, what they cost, and how the block engine is reached.",
    variables={"host": "label_values(solward_host_connected, host)"},
    rows=(_NOW, _BUNDLES, _MONEY, _REGIONS),
)
