"""Which graphs can a network tell apart? Exact colour refinement, random networks, and their frame and group averages."""
