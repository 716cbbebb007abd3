"""Electroencephalography: real recordings (mamem, moabb) and a physical simulator (twin) that stands in for them."""
