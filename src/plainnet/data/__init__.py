"""From a file to arrays; knows no network."""
