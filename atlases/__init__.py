"""Atlas descriptions and region tables; the volumes come from where each says."""
