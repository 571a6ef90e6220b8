"""Wells to submission to score."""
