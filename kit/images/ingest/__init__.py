"""From a source to the store: plates, wells, images."""
