"""The tiling loader: packed sites in, crops out."""
