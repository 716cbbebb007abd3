"""Trials whose classes have equal spatial covariance and differ in the rhythm of one source: autoregressive resonators, mixed."""
