"""PCPNet as it is published: lists of shapes, .xyz, .normals and .pidx files."""
