"""Mathematics shared by methods: import the module you need, as in ``from models.geometry import spd``."""
