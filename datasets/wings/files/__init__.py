"""Own surface solutions: CFD or tunnel data read from files."""
