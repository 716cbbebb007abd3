"""Data adapters by kind of data. Nothing is imported here: `bench` reaches an adapter through its config.py, by name."""
