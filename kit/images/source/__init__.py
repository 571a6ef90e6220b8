"""The output of a microscope: folders of TIFFs, positions, load_data tables."""
