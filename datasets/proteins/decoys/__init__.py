"""Simulated decoys: torsion noise on procedural or given native backbones, with exactly computed scores."""
