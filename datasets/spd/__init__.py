"""Labelled SPD matrices (kind spd_trials): skeleton covariances (fpha, uav_human) and simulations (clusters, sources)."""
