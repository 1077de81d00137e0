"""Jito's regions by name, from its documentation of low-latency transaction sending."""

KNOWN = {
    "mainnet": ("amsterdam", "dublin", "frankfurt", "london", "ny", "singapore", "slc", "tokyo"),
    "testnet": ("dallas", "ny"),
}
