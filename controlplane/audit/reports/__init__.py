"""Compliance reports, made from the audit log alone."""
