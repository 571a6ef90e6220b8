"""Plates to sites to crops."""
