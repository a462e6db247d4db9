"""The lake on one side, files on the other: reading the run, setting the page, drawing the pictures."""
