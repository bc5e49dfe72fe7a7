"""Promises of the job kinds."""
