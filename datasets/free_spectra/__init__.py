"""Published densities of the common process, frequency by frequency: NANOGrav 15-year (kind free_spectrum)."""
