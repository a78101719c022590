"""Export: a model for programs and people without plainnet."""
