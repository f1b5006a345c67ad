"""From one picture of a person to an avatar: read, find the face, cut, close the mouth, keep."""
