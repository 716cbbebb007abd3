"""UAV-Human: covariances of 17 body joints seen from a drone."""
