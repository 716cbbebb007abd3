"""The control of the decoy experiment: local scores from three counts of neighbours, by ridge regression."""
