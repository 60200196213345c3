"""Ready settings per system and data set, and the way from settings to a trained run."""
