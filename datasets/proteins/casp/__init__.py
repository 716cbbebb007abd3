"""Models that servers sent to CASP, scored against the native structures, for those who have the files."""
