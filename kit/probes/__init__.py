"""Trained heads on frozen features and networks: Cell-DINO's evaluation."""
