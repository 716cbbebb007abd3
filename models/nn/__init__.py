"""Layers shared by the methods: import the module you need, as in ``from models.nn import spd_layers``."""
