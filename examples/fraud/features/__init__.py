"""What `featurestore apply` reads: one file for each thing that features are about."""
