"""Point clouds with normals: analytic surfaces, scans and meshes, and class folders in the style of ModelNet40."""
