"""Log stores: one suite for the state store and for Loki."""
