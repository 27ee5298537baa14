"""Results to one HTML page a participant and one a cohort."""
