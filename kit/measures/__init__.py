"""The field's measures of well profiles: average precision, its null, and the share of compounds and targets retrieved."""
