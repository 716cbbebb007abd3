"""Oriented normals of scans and closed meshes; training clouds are analytic."""
