"""Simulated rank-deficient covariances: fewer sources than channels, with or without drift (`data=spd_sources`)."""
