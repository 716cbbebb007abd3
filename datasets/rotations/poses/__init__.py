"""Joint positions of a moving skeleton, for inverse kinematics."""
