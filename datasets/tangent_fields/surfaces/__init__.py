"""Fields drawn on scanned and analytic surfaces."""
