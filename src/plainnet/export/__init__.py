"""A model for those who do not have plainnet: one file a format."""
