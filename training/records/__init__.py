"""Videos decoded once: shards of JPEG frames (or of optical flow), and clips read from them."""
