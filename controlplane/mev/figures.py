"""What is counted of bundles, for Prometheus."""

from prometheus_client import Counter, Gauge

SUBMITTED = Counter("jito_bundles_submitted", "Bundles that were asked for.", ("strategy",))
REFUSED = Counter("jito_bundles_refused", "Bundles that were not taken, by reason.", ("reason",))
SENT_AGAIN = Counter(
    "jito_bundles_sent_again",
    "Times that bundles were sent again, having lost an auction or not been heard of.",
    ("strategy",),
)
ENDED = Counter(
    "jito_bundles_ended", "Bundles by what became of them, and why they did not land.", ("host", "outcome", "reason")
)
RESULTS = Counter("jito_tracker_results", "What agents passed on of bundles.", ("outcome",))
TIPPED = Counter("jito_tip_lamports", "Tips of bundles that landed.", ("strategy",))
EARNED = Counter("jito_profit_lamports", "What bundles that landed earned, before tip and fees.", ("strategy",))
ACCEPTANCE = Gauge(
    "jito_bundle_acceptance_rate", "Share of observed bundles that won an auction, of a host's last 500.", ("host",)
)
LANDING = Gauge(
    "jito_bundle_landing_rate", "Share of bundles that landed, of a host's last 500 that are known.", ("host",)
)
FLOOR = Gauge("jito_tip_floor_lamports", "Tips that landed, by percentile.", ("percentile",))
CONGESTION = Gauge("jito_tip_congestion", "Median tip against that of the last hour; 1 is usual.")
BUDGET = Gauge("jito_tip_budget_lamports", "Today's budget for tips, by part.", ("part",))
FOLLOWED = Gauge("jito_bundles_followed", "Bundles of which more is to become known.")
CANARY_ENDED = Counter(
    "jito_canary_ended", "Bundles of agents' own by region and what became of them.", ("region", "outcome")
)
CANARY_PAID = Counter("jito_canary_lamports", "What bundles of agents' own that landed cost: tip and fee.", ("region",))
CANARY_REFUSED = Counter(
    "jito_canary_refused", "Canaries that a host told of and that do not hold together.", ("host",)
)
