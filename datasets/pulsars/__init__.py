"""Arrays of pulsars: residuals with white, red and common noise, simulated (kind pulsar_array)."""
