"""What a microscope or a table left: folders of TIFFs, positions, load_data."""
