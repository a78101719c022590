"""Limits on untrusted files: generous for data, but safe on a laptop.

docs/security.md explains them, and tests/attacks.py measures the attacks they prevent.
"""

# Tables in text files
MAX_TABLE_BYTES = 1_000_000_000  # once decompressed; Parquet as it is
MAX_LINES = 10_000_000
MAX_LINE = 10_000_000  # bytes
MAX_CELL = 131_072  # characters, as in Python's csv
MAX_COLUMNS = 50_000
MAX_CELLS = 50_000_000
SNIFFED = 1_000_000  # characters from which the delimiter is detected
MAX_EXPANSION = 40  # bytes of text for each byte of a compressed file,
FREE_EXPANSION = 4_000_000  # and this many more

# Parquet
MAX_PARQUET = 100  # bytes in memory for each byte of the file,
FREE_PARQUET = 16_000_000  # and this many more

# Pictures: decoding one of this many pixels takes about 400 MB, shared by all threads
MAX_PIXELS = {
    "JPEG": 89_478_485,  # at which Pillow warns
    "progressive JPEG": 40_000_000,
    "PNG": 40_000_000,
    "GIF": 40_000_000,
    "BMP": 40_000_000,
    "PPM": 40_000_000,
    "TIFF": 34_000_000,
    "AVIF": 30_000_000,
    "WEBP": 24_000_000,
    "JPEG2000": 16_000_000,
}
MAX_SIDE = 20_000  # pixels
MAX_SCANS = 100  # of a JPEG; programs write about 10
MAX_PICTURE_BYTES = 250_000_000
MAX_PIXELS_PER_BYTE = 2_000  # of the file,
FREE_PIXELS = 4_000_000  # and this many more

# Suggestions of a similar name
MAX_SUGGESTED = 60  # characters
MAX_CANDIDATES = 300  # names

# Headers of model files, and TOML
MAX_HEADER = 16_000_000  # bytes
MAX_NODES = 2_000_000  # keys, values, lists and objects in a header
MAX_TOML = 1_000_000  # bytes
MAX_TOML_LINE = 10_000  # bytes; the time to read a key grows with the square of its length
