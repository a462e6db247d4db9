"""What archives are called, what their rows must look like, and what is reported about them."""
