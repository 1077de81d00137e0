"""What two of the three programs need: formats, signatures, certificates and errors; no program's own logic."""
