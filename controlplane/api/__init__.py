"""Handlers: one thin servicer for each noun of the contract; no SQL, no policy."""
