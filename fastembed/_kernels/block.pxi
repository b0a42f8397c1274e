"""Body follows."""
