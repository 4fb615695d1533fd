"""Keys of features as TensorFlow's Model Garden and MediaPipe's MediaSequence name them.

The first two are all that the Model Garden reads (official/vision/dataloaders/video_input.py); the
rest is in mediapipe/util/sequence/media_sequence.py. Times are in microseconds.
"""

IMAGE = "image/encoded"
LABEL = "clip/label/index"
LABEL_NAME = "clip/label/string"
PATH = "clip/data_path"
MEDIA_ID = "clip/media_id"
START, END = "clip/start/timestamp", "clip/end/timestamp"
TIMESTAMP = "image/timestamp"
FRAME_RATE = "image/frame_rate"
FORMAT = "image/format"
CHANNELS, HEIGHT, WIDTH = "image/channels", "image/height", "image/width"
