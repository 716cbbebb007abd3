"""Class folders of meshes in .off format, as ModelNet40 is published."""
