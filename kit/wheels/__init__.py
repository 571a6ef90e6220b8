"""A folder of wheels that installs kit where there is no network: on Kaggle, or on any machine with a GPU."""
