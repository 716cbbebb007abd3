"""A small MeshGraphNet (Pfaff et al., ICLR 2021) for static fields: the network baseline for fields on meshes."""
