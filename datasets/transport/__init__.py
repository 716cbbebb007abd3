"""Pairs of measures to transport one to the other, simulated (kind transport)."""
