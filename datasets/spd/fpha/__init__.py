"""First-Person Hand Action: covariances of the 21 hand joints."""
