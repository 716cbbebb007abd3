"""Pedestrians' paths on the ground (ETH/UCY): where someone goes on from where they came, one recording held out per fold."""
