"""What is run on a machine with a GPU, in minutes that are counted: build, tests, benches, trials. docs/gpu.md says how."""
