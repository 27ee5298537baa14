"""Regional signals to edges: correlation, similarity, covariance, thresholds."""
