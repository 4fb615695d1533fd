"""Live video: what a camera, a stream, a file or a folder that fills shows, as it comes."""
