"""Electric fields on the head: dipoles in a sphere, and recordings."""
