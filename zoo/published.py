"""What is said of each published checkpoint: one frozen row."""

from dataclasses import dataclass

from .preprocessing import KINETICS, Preprocessing

VALIDATION = "Kinetics-400 validation"


@dataclass(frozen=True, kw_only=True)
class Weights:
    """A published checkpoint: which network, whose file, what it was trained on, how it scored.

    None stands for what is not known. Every row is among `list_weights()`.

    variant: network, of `r21d_keras.list_variants()`.
    tag: "[<pretraining>_]<dataset>_<frames>f[_flow][_<source>]", unique within the variant.
    convention: "paper" or "torchvision"; how the network is built (`VideoResNet`).
    naming: whose names the file's tensors bear: torchvision, caffe2, gluoncv_v1, gluoncv_v2.
    url: of the authors' file.
    file_name: of the file in the download folder and in a mirror; no other row has it.
    file_hash: "sha256:" or "sha1:" with the hex digest or, in 8 digits, its beginning.
    page: where the authors describe the file.
    license: SPDX identifier, where one is stated of the weights themselves.
    license_note: what is known of the licence otherwise.
    dataset: what the classifier was trained on. pretraining: the data set before that one.
    num_classes: outputs of the classifier.
    labels: name of their label map, for `load_labels`.
    input_shape: (frames, height, width, channels) of a clip; 2 channels are optical flow.
    preprocessing: how video becomes such a clip.
    num_params: trainable parameters. macs: multiply-adds of one clip (`count_macs`).
    clip_top1: accuracy of single clips, percent. video_top1, video_top5: of whole videos, percent.
    protocol: on what and how these accuracies were measured.
    note: what else a user should know.
    """

    variant: str
    tag: str
    convention: str = "paper"
    naming: str
    url: str
    file_name: str
    file_hash: str | None = None
    page: str
    license: str | None = None
    license_note: str
    dataset: str = "Kinetics-400"
    pretraining: str | None = None
    num_classes: int = 400
    labels: str | None = "kinetics400"
    input_shape: tuple[int, int, int, int]
    preprocessing: Preprocessing = KINETICS
    num_params: int
    macs: int
    clip_top1: float | None = None
    video_top1: float | None = None
    video_top5: float | None = None
    protocol: str | None = None
    note: str = ""

    @property
    def name(self) -> str:
        """Variant and tag, "r2plus1d_18.kinetics400_16f": unique over all rows."""
        return f"{self.variant}.{self.tag}"
