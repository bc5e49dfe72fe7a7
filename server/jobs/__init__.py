"""Jobs: the record, its lifecycle, and what a running job may do."""
