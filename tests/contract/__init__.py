"""Contracts: one suite, run on every backend of an interface."""
