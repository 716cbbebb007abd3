"""Simulated SPD clusters, well- or ill-conditioned (`data=spd_twin`)."""
