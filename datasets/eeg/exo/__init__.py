"""SSVEP exoskeleton recordings of Kalunga et al.: twelve subjects, two to six sessions each; see config.py and adapter.py."""
