"""Objectives to minimise, kind `objective`: the train split holds the data, `meta` the objective, its start and its norm."""
