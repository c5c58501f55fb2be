"""The files that leave the house: ranked lists, their text form, the manifest and the move into place."""
