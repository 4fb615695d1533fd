"""A network that a server has, ready to be shown videos that are decoded here."""

from .data.frames import center_crop
from .flow.methods import check_method, clip_flow
from .flow.streams import frames_shown
from .predictor import Predictor
from .serving.about import preprocessing_of
from .serving.client import Client


def served_predictor(client: Client) -> Predictor:
    """A Predictor whose clips a server answers; its optical flow, if any, is computed here.

    Raises:
        ServerError: a server that does not say what its model is.
        ValueError: flow that cannot be computed here.
    """
    about = client.about
    numbers = preprocessing_of(about)
    scorer = client.probabilities
    if numbers.takes_flow:
        method, side = about["flow_method"], numbers.crop_size
        check_method(method, side)

        def scorer(clips):
            return client.probabilities(clip_flow(center_crop(clips, side), method))

    shown = frames_shown(about["clip_frames"], numbers)
    return Predictor(tuple(about["classes"]), shown, about["short_video"], numbers, scorer)
