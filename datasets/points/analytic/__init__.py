"""Six analytic surface families with exact normals and curvature."""
