"""Features to wells."""
