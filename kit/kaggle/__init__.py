"""Everything that talks to Kaggle, through the kaggle package's own command line: submissions, data sets, notebooks."""
