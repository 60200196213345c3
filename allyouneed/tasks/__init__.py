"""What a model is trained for: batch -> loss, metrics, predictions."""
