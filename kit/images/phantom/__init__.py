"""Made plates with known answers, in the microscope's own file format."""
