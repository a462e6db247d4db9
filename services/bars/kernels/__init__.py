"""Where bars close, and what is in them: integer arrays in, integer arrays out."""
