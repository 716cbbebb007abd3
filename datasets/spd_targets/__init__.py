"""SPD matrices of stated condition number, as targets of an optimisation."""
