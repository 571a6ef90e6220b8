"""Trials on real pixels: does training say more of real cells than random weights and plain intensity do?"""
