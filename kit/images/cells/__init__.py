"""Where the cells of a store's sites are: found in its pixels, or as another tool's table says."""
