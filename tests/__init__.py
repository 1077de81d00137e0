"""Tests of Solward."""
