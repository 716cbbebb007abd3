"""Protein structures and models of them: PDB files, backbones from torsion angles, contacts, superposition-free scores."""
