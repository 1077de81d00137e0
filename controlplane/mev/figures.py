"""What is counted of bundles, for Prometheus."""

from prometheus_client import Counter

SUBMITTED = Counter("jito_bundles_submitted", "Bundles that were asked for.", ("strategy",))
REFUSED = Counter("jito_bundles_refused", "Bundles that were not taken, by reason.", ("reason",))
ENDED = Counter("jito_bundles_ended", "Bundles by what became of them.", ("outcome",))
RESULTS = Counter("jito_bundle_results", "Results that agents passed on.", ("outcome",))
TIPPED = Counter("jito_tip_lamports", "Tips of bundles that landed.", ("strategy",))
EARNED = Counter("jito_profit_lamports", "What bundles that landed earned, before tip and fees.", ("strategy",))
