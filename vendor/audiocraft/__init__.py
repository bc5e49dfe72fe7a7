"""MelodyFlow, inference only, under the names and checkpoint format of the original package.

Written for this project; no training, no configuration framework. Importing it imports nothing
heavy:
`audiocraft.models` does.
"""
