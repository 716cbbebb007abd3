"""The baseline of the n-body experiment without a network: x + a v with one fitted number."""
