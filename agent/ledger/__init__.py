"""A stopped validator's ledger: what it holds of a range of slots, and what can be mended of it."""
