"""Objectives given by a formula and a draw of random numbers."""
