"""The playground: a local page on which a network trains and can be taken apart."""
