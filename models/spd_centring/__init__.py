"""What float32 costs when SPD matrices are centred, under two metrics: deterministic."""
