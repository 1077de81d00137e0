"""What the store tells of itself on the Prometheus page."""

from prometheus_client import Counter, Gauge

SAMPLES = Counter("solward_store_samples", "Samples by what became of them.", ("outcome",))
REFUSED_SERIES = Counter("solward_store_refused_series", "Times that a series was not taken, by reason.", ("reason",))
SERIES = Gauge("solward_store_series", "Series that have an id.")
QUEUED = Gauge("solward_store_queued_samples", "Samples that wait to be written.")
FAILURES = Counter("solward_store_failures", "What could not be done, by what.", ("what",))
FILE_BYTES = Gauge("solward_store_hot_bytes", "Size of the hot store's file.")
UNROLLED = Gauge("solward_store_unrolled", "Closed hours that wait to be rolled up.")
