"""Trials on real pixels: does training beat random weights and plain intensity on real cells?"""
