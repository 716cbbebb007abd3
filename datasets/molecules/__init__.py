"""Molecules with energies and forces: 3BPA, acetylacetone, ethanol, own extended-xyz files."""
