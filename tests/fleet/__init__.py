"""Tests on real hosts: Debian 12 booted by systemd-nspawn, with the agent on the real system bus."""
