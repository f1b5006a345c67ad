"""Makes the built-in avatars' pictures and mouth plates from MakeHuman's CC0 assets, with Blender.

Offline only: nothing of the engine imports this package, and it needs a virtual environment with
`bpy`. See `models/avatars/README.md`.
"""
