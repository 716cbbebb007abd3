"""Published sets of meshes with fields, read from a folder: the PLAID layout (Tensile2d, Rotor37) and that of AirfRANS."""
