"""The CPU engine that re-plays a clip note by note with other instruments."""
