"""Checkpoints of torchvision, moabitcoin/ig65m-pytorch and GluonCV: PyTorch files."""

from .preprocessing import Preprocessing
from .published import VALIDATION, Weights
from .published_zoo import NOTE, SCORED, SHORTER_SIDE

CLIP_16 = (16, 112, 112, 3)

# torchvision/models/video/resnet.py: input, addresses, and accuracies on videos. Accuracies on
# single clips: the documentation of torchvision 0.13. SHA-256: torchvision gives the first 8
# digits, in the names; users of the files have published all of them.
TORCHVISION = (
    # variant, clip@1, video@1, video@5, num_params, macs, SHA-256
    ("r3d_18", 52.75, 63.200, 83.479, 33371472, 40696553472,
     "b3b3357ead25631ec9c57362ff2128a92d0427e01e2cd184951a44380c3f2e9d"),
    ("mc3_18", 53.90, 63.960, 84.130, 11695440, 43342635008,
     "a90a0ba35ca1242d15b77511ff28bfb29cc596988b5ea36081042f8e2f54212b"),
    ("r2plus1d_18", 57.50, 67.463, 86.175, 31505325, 40519080960,
     "91a641e6c2ab531d1aca5f4321b4d802ec5c3babc15df855cdb6e39c6a1107c8"),
)  # fmt: skip


def _torchvision_row(variant, clip_top1, video_top1, video_top5, num_params, macs, sha256):
    file_name = f"{variant}-{sha256[:8]}.pth"
    return Weights(
        variant=variant,
        tag="kinetics400_16f_torchvision",
        convention="torchvision",
        naming="torchvision",
        url=f"https://download.pytorch.org/models/{file_name}",
        file_name=file_name,
        file_hash=f"sha256:{sha256}",
        page="https://docs.pytorch.org/vision/stable/models/generated/"
        f"torchvision.models.video.{variant}.html",
        license_note="torchvision's code is BSD-3-Clause; no licence of the weights is stated.",
        input_shape=CLIP_16,
        num_params=num_params,
        macs=macs,
        clip_top1=clip_top1,
        video_top1=video_top1,
        video_top5=video_top5,
        protocol=f"{VALIDATION} at 15 Hz; video: mean over 5 clips, centre crops",
    )


# README.md and ig65m/models.py of moabitcoin/ig65m-pytorch: VMZ's files, converted. The digits in
# the names begin their SHA-256: they were renamed so that torch.hub checks it (issue 12).
MOABITCOIN = (
    # frames, classes, pretraining, video@1, video@5, num_params, macs, file name
    (8, 487, None, None, None, 63741806, 38089126912,
     "r2plus1d_34_clip8_ig65m_from_scratch-9bae36ae.pth"),
    (8, 400, "IG-65M", 74.9, 91.8, 63697175, 38089082368,
     "r2plus1d_34_clip8_ft_kinetics_from_ig65m-0aa0550b.pth"),
    (32, 359, None, None, None, 63676142, 152355694080,
     "r2plus1d_34_clip32_ig65m_from_scratch-449a7af9.pth"),
    (32, 400, "IG-65M", 80.0, 94.2, 63697175, 152355715072,
     "r2plus1d_34_clip32_ft_kinetics_from_ig65m-ade133f1.pth"),
)  # fmt: skip


def _moabitcoin_row(frames, num_classes, pretraining, top1, top5, num_params, macs, file_name):
    digits = file_name[-len("9bae36ae.pth") : -len(".pth")]
    releases = "https://github.com/moabitcoin/ig65m-pytorch/releases/download/v1.0.0"
    return Weights(
        variant="r2plus1d_34",
        tag=f"ig65m_kinetics400_{frames}f" if pretraining else f"ig65m_{frames}f",
        naming="torchvision",
        url=f"{releases}/{file_name}",
        file_name=file_name,
        file_hash=f"sha256:{digits}",
        page="https://github.com/moabitcoin/ig65m-pytorch",
        license_note="The converted files' repository is MIT, VMZ's code Apache-2.0; no licence of "
        "the weights is stated.",
        dataset="Kinetics-400" if pretraining else "IG-65M",
        pretraining=pretraining,
        num_classes=num_classes,
        labels="kinetics400" if pretraining else None,
        input_shape=(frames, 112, 112, 3),
        preprocessing=SHORTER_SIDE,
        num_params=num_params,
        macs=macs,
        video_top1=top1,
        video_top5=top5,
        protocol=f"{SCORED}; of VMZ's file, which this one was converted from" if top1 else None,
        note=NOTE,
    )


# scripts/action-recognition/configuration/*.yaml and gluoncv/torch/data/video_cls/
# dataset_classification.py of dmlc/gluon-cv: every second frame, ImageNet's mean and std.
IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
GLUONCV_NOTE = (
    "Trained on every second frame whatever the video's rate: 15 Hz is that of 30 Hz videos."
)
V2_NOTE = (
    f"{GLUONCV_NOTE} GluonCV's conversion of VMZ's IG-65M + Kinetics R(2+1)D-152; its table "
    "says clips of 16 frames, its configuration 32, as VMZ does."
)
# gluoncv/torch/model_zoo/model_store.py (SHA-1) and docs/model_zoo/csv_tables/
# Action_Recognitions/Kinetics400_torch.csv (accuracy).
GLUONCV = (
    # variant, tag, frames, name without its end, video@1, num_params, macs, SHA-1
    ("r2plus1d_18", "kinetics400_16f_gluoncv", 16, "r2plus1d_v1_resnet18",
     71.72, 31505325, 40519080960, "340a59522b4ffe7e3621ad4a269e4cd4a99f74b2"),
    ("r2plus1d_34", "kinetics400_16f", 16, "r2plus1d_v1_resnet34",
     72.63, 61831661, 75200732160, "5102fd1736a2a205f5fd7bded5d2e0d2e5ca6307"),
    ("r2plus1d_50", "kinetics400_16f", 16, "r2plus1d_v1_resnet50",
     74.92, 53949691, 65232579584, "9a3b665c182f81f22d4a105c75fac030ad20a628"),
    ("r2plus1d_152", "ig65m_kinetics400_32f_gluoncv", 32, "r2plus1d_v2_resnet152",
     81.34, 118226785, 251997435904, "42707ffcab518cdda93523004360de167863c5d8"),
)  # fmt: skip


def _gluoncv_row(variant, tag, frames, name, video_top1, num_params, macs, sha1):
    is_v2 = "_v2_" in name  # VMZ's network under other names; v1 is torchvision's
    file_name = f"{name}_kinetics400-{sha1[:8]}.pth"
    bucket = "https://apache-mxnet.s3-accelerate.dualstack.amazonaws.com/torch/models"
    return Weights(
        variant=variant,
        tag=tag,
        convention="paper" if is_v2 else "torchvision",
        naming="gluoncv_v2" if is_v2 else "gluoncv_v1",
        url=f"{bucket}/{file_name}",
        file_name=file_name,
        file_hash=f"sha1:{sha1}",
        page="https://cv.gluon.ai/model_zoo/action_recognition.html",
        license_note="GluonCV's code is Apache-2.0; no licence of the weights is stated.",
        pretraining="IG-65M" if is_v2 else None,
        input_shape=(frames, 112, 112, 3),
        preprocessing=Preprocessing(resize=128 if is_v2 else (128, 171), **IMAGENET),
        num_params=num_params,
        macs=macs,
        video_top1=video_top1,
        protocol=f"{VALIDATION}; video: mean over 10 clips with 3 crops of 128x128 each",
        note=V2_NOTE if is_v2 else GLUONCV_NOTE,
    )


ROWS = (
    *(_torchvision_row(*line) for line in TORCHVISION),
    *(_moabitcoin_row(*line) for line in MOABITCOIN),
    *(_gluoncv_row(*line) for line in GLUONCV),
)
