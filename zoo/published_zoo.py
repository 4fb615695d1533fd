"""VMZ's model zoo: R(2+1)D-34 and -152, pretrained on Sports-1M and IG-65M; Caffe2, on Dropbox.

Accuracies and addresses: c2/tutorials/model_zoo.md of facebookresearch/VMZ ("122" in its sizes is
112; its GFLOPs are those of 128x128 crops). Numbers of classes: VMZ utilities/model_conversion/
convert_all_models.txt and .travis.yml of moabitcoin/ig65m-pytorch, which convert these files.
"""

from .preprocessing import Preprocessing
from .published import VALIDATION, Weights
from .published_vmz import vmz_row

# The shorter side is resized, and the aspect kept: c2/scripts/test_irCSN_152_kinetics.sh
# (video_res_type=1) and GluonCV's evaluation of its port of R(2+1)D-152
# (r2plus1d_v2_resnet152_kinetics400.yaml, KEEP_ASPECT_RATIO). Both take every second frame of
# 30 Hz, and VMZ pt/vmz/func/test.py decodes at 15 Hz.
SHORTER_SIDE = Preprocessing(resize=128)
NOTE = "The authors do not state the frame rate; 15 Hz is that of VMZ's own test in PyTorch."
# README of gtoderici/sports-1m-dataset: a label's index is its line in labels.txt, from 0.
SPORTS_NOTE = "Labels are taken to be in the data set's own order; VMZ publishes no list of them."

SCORED = f"{VALIDATION}; numbers of clips and crops are not stated"

# What a classifier was trained on.
HEADS = {
    "kinetics400": {},
    "sports1m": {"dataset": "Sports-1M", "num_classes": 487, "labels": "sports1m"},
    "ig65m_487": {"dataset": "IG-65M", "num_classes": 487, "labels": None},
    "ig65m_359": {"dataset": "IG-65M", "num_classes": 359, "labels": None},
}

TABLE = (
    # variant, frames, head, pretraining, video@1, video@5, num_params, macs, end of the tag, file.
    # "_vmz": published_others.py has the same weights with a hash, which are the first choice.
    ("r2plus1d_34", 8, "ig65m_487", None, None, None, 63741806, 38089126912, "_vmz",
     "6xwyu1az6oy4ts7/r2plus1d_34_clip8_ig65m_from_scratch_f79708462.pkl"),
    ("r2plus1d_34", 8, "kinetics400", "IG-65M", 74.9, 91.8, 63697175, 38089082368, "_vmz",
     "p81twy88kwrrcop/r2plus1d_34_clip8_ft_kinetics_from_ig65m_%20f128022400.pkl"),
    ("r2plus1d_34", 32, "ig65m_359", None, None, None, 63676142, 152355694080, "_vmz",
     "eimo232tqw8mwi9/r2plus1d_34_clip32_ig65m_from_scratch_f102649996.pkl"),
    ("r2plus1d_34", 32, "kinetics400", "IG-65M", 80.0, 94.2, 63697175, 152355715072, "_vmz",
     "z41ff7vs0bzf6b8/r2plus1d_34_clip32_ft_kinetics_from_ig65m_%20f106169681.pkl"),
    ("r2plus1d_152", 32, "kinetics400", None, 77.3, 92.5, 118226785, 251997435904, "",
     "9770y063u3z5bmb/r2plus1d_152_kinetics_from_scratch_f127858918.pkl"),
    ("r2plus1d_152", 32, "sports1m", None, None, None, 118405048, 251997614080, "",
     "w5cdqeyqukuaqt7/r2plus1d_152_sports1m_from_scratch_f127111290.pkl"),
    ("r2plus1d_152", 32, "kinetics400", "Sports-1M", 79.5, 94.0, 118226785, 251997435904, "",
     "twvcpe30rxuaf45/r2plus1d_152_ft_kinetics_from_sports1m_f128957437.pkl"),
    ("r2plus1d_152", 32, "ig65m_359", None, None, None, 118142776, 251997351936, "",
     "oqdg176p7nqc84v/r2plus1d_152_ig65m_from_scratch_f106380637.pkl"),
    ("r2plus1d_152", 32, "kinetics400", "IG-65M", 81.6, 95.3, 118226785, 251997435904, "",
     "tmxuae8ubo5gipy/r2plus1d_152_ft_kinetics_from_ig65m_f107107466.pkl"),
)  # fmt: skip


def _row(variant, frames, head, pretraining, top1, top5, num_params, macs, source, file) -> Weights:
    before = {"IG-65M": "ig65m_", "Sports-1M": "sports1m_", None: ""}[pretraining]
    return vmz_row(
        variant,
        f"{before}{head.split('_')[0]}_{frames}f{source}",
        (frames, 3),
        file,
        page="model_zoo.md",
        **HEADS[head],
        pretraining=pretraining,
        preprocessing=SHORTER_SIDE,
        num_params=num_params,
        macs=macs,
        video_top1=top1,
        video_top5=top5,
        protocol=SCORED if top1 else None,
        note=f"{NOTE} {SPORTS_NOTE}" if head == "sports1m" else NOTE,
    )


ROWS = tuple(_row(*line) for line in TABLE)
