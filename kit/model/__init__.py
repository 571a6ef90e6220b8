"""Crops to views to features."""
