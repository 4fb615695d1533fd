"""Other frameworks' files: read without running anything in them, named, recognised, converted."""
