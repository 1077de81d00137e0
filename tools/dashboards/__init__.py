"""The Grafana dashboards, one module each: what they show, as data."""
