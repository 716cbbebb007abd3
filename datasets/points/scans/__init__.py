"""Clouds drawn from scanned shapes and meshes of the data root; one shape held out per fold."""
