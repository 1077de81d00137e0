"""Benchmarks: every figure the project holds itself to, measured on this machine."""
