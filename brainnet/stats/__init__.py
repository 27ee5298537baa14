"""Numbers of many subjects to inference: what a site adds, and what is left without it."""
