"""The engine that plays with MelodyFlow, on a card or slowly without one."""
