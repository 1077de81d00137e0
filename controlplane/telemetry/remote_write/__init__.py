"""Remote write: what Prometheus is shown when it scrapes, sent to those who do not scrape."""
