"""Published weights: rename tables, applied to the names in the file and loaded strictly."""
