"""What may be wrong with the pictures of a source: copies, bad pictures, suspicious labels."""
