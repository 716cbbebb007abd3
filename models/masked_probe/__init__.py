"""Masked images: an encoder trained by the spectral contrastive loss on masked views, and a linear probe on few labels."""
