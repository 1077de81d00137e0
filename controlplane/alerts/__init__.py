"""Alerts: rules over what is measured and found, and the alerts they raise."""
