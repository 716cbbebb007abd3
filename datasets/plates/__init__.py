"""Notched plates under load: meshes with nodal fields, simulated (kind mesh_fields), and readers of published sets."""
