"""The built-in avatars: pictures with their landmarks. See README.md."""
