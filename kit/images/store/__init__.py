"""The packed plates: pixels, tables, and how both are read."""
