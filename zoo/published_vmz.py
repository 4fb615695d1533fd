"""The paper's own models, as its authors published them in VMZ: Caffe2 files on Dropbox.

Accuracies and addresses: c2/tutorials/models.md of facebookresearch/VMZ. Frame rate: its issue 55.
Order of the Kinetics and HMDB51 classes: alphabetical in its lists (data/list/*/*.csv, in the
archive that c2/tutorials/kinetics_train.md links). RGB: ops/av_video_decoder_commons.h.
"""

from .preprocessing import FLOW, Preprocessing
from .published import VALIDATION, Weights

TUTORIALS = "https://github.com/facebookresearch/VMZ/blob/main/c2/tutorials"
LICENSE_NOTE = "VMZ's code is Apache-2.0; no licence of the weights is stated."

TEN_CLIPS = f"{VALIDATION}; video: mean over 10 evenly spaced clips, centre crops"
DENSE = f"{VALIDATION}; video: mean over densely sampled clips, centre crops"

# Table 2 of the paper: 18 layers, trained on Kinetics-400 from scratch.
TABLE_2 = (
    # family, frames, clip@1, video@1, video@5, num_params, macs, file
    ("r2d", 8, 47.0, 60.0, 81.2, 11447568, 1931780096, "ju4fah9dksn08s1/r2d_d18_l8.pkl"),
    ("f_r2d", 8, 48.5, 60.0, 81.8, 11381712, 13800611840, "4jexszps3564za3/r2df_d18_l8.pkl"),
    ("r3d", 8, 49.8, 62.3, 83.4, 33371472, 20348379136, "n3ax2591imcy9ly/r3d_d18_l8.pkl"),
    ("mc2", 8, 50.6, 63.0, 83.8, 11400528, 14272667648, "lkmhyjok8odtv8e/mc2_d18_l8.pkl"),
    ("mc3", 8, 51.1, 63.3, 84.2, 11695440, 21671419904, "3jxzhc3kduyrpik/mc3_d18_l8.pkl"),
    ("mc4", 8, 50.9, 63.0, 84.2, 12727632, 19975872512, "vx2xee36et823gs/mc4_d18_l8.pkl"),
    ("mc5", 8, 50.7, 62.9, 84.2, 16856400, 19950182400, "z6fxv6jr30i2lwz/mc5_d18_l8.pkl"),
    ("rmc2", 8, 50.2, 62.7, 83.9, 33352656, 19876323328, "vnjpzq7li2b7tk2/rmc2_d18_l8.pkl"),
    ("rmc3", 8, 50.2, 62.8, 83.7, 33057744, 12477571072, "1vwjomlc45ox6u1/rmc3_d18_l8.pkl"),
    ("rmc4", 8, 50.3, 62.8, 83.3, 32025552, 14545625088, "zots41ng2xs2ezu/rmc4_d18_l8.pkl"),
    ("rmc5", 8, 49.7, 61.6, 83.1, 27896784, 15393398784, "3e56jjx6x1qot4x/rmc5_d18_l8.pkl"),
    ("r2plus1d", 8, 53.2, 65.3, 85.2, 33370839, 20748256768, "wzgx4d80mrh7pnf/r2.5d_d18_l8.pkl"),
    ("r2d", 16, 47.5, 59.4, 81.3, 11522832, 2167808000, "hyw8ltzvhadxgia/r2d_d18_l16.pkl"),
    ("f_r2d", 16, 50.7, 60.9, 81.9, 11381712, 27601018880, "4yy0tdfebdy0ptr/r2df_d18_l16.pkl"),
    ("r3d", 16, 52.9, 64.7, 85.0, 33371472, 40696553472, "8tqp8uhjmedflu1/r3d_d18_l16.pkl"),
    ("mc2", 16, 53.6, 64.8, 85.1, 11400528, 28545130496, "xmtqk2w3p60yly0/mc2_d18_l16.pkl"),
    ("mc3", 16, 54.1, 65.2, 85.8, 11695440, 43342635008, "rpgbzjewagjeu2f/mc3_d18_l16.pkl"),
    ("mc4", 16, 54.3, 65.6, 85.6, 12727632, 39951540224, "lrjwye0ldsgi2p2/mc4_d18_l16.pkl"),
    ("mc5", 16, 54.1, 65.6, 85.5, 16856400, 39900160000, "3qp62d3159rzwsj/mc5_d18_l16.pkl"),
    ("rmc2", 16, 53.5, 65.4, 85.5, 33352656, 39752441856, "70k3p0xz6rjcdtb/rmc2_d18_l16.pkl"),
    ("rmc3", 16, 53.6, 65.5, 85.7, 33057744, 24954937344, "n8eulubwh6l3o0b/rmc3_d18_l16.pkl"),
    ("rmc4", 16, 53.9, 65.6, 85.3, 32025552, 29091045376, "di3wwadbapc61rn/rmc4_d18_l16.pkl"),
    ("rmc5", 16, 52.5, 63.5, 84.2, 27896784, 30786592768, "lb5jaji177hid7p/rmc5_d18_l16.pkl"),
    ("r2plus1d", 16, 57.3, 68.5, 87.5, 33370839, 41496308736, "94d2ruqn6tp7xno/r2.5d_d18_l16.pkl"),
)  # fmt: skip

# c2/scripts/extract_feature_kinetics_of.sh; PyTorch caffe2/video/video_io.cc and optical_flow.cc.
FLOW_NOTE = (
    "A clip is the flow between neighbours of 33 frames, computed in grey on their cropped pixels "
    "(crop_frames): cv2.calcOpticalFlowFarneback(a, b, None, 2**-0.5, 5, 10, 2, 7, 1.5, "
    "cv2.OPTFLOW_FARNEBACK_GAUSSIAN)."
)


def vmz_row(variant, tag, clip, file, *, page="models.md", **facts) -> Weights:
    """A row of VMZ: `clip` is (frames, channels) at 112x112, `file` "<key>/<name>" on Dropbox."""
    frames, channels = clip
    return Weights(
        variant=variant,
        tag=tag,
        naming="caffe2",
        url=f"https://www.dropbox.com/s/{file}?dl=1",
        file_name=file.partition("/")[2].replace("%20", ""),
        page=page if page.startswith("https:") else f"{TUTORIALS}/{page}",
        license_note=LICENSE_NOTE,
        input_shape=(frames, 112, 112, channels),
        **facts,
    )


def _table_2_row(family, frames, clip_top1, video_top1, video_top5, num_params, macs, file):
    return vmz_row(
        f"{family}_18",
        f"kinetics400_{frames}f",
        (frames, 3),
        file,
        num_params=num_params,
        macs=macs,
        clip_top1=clip_top1,
        video_top1=video_top1,
        video_top5=video_top5,
        protocol=TEN_CLIPS,
    )


RGB_34 = {"num_params": 63697175, "macs": 152355715072}
FLOW_34 = {
    "num_params": 63694970,
    "macs": 152134438912,
    "preprocessing": FLOW,
}

ROWS = (
    *(_table_2_row(*line) for line in TABLE_2),
    # Table 5.
    vmz_row(
        "r2plus1d_34",
        "kinetics400_32f",
        (32, 3),
        "y6c6jf7myv2w6iq/r2.5d_d34_l32.pkl",
        **RGB_34,
        clip_top1=60.6,
        video_top1=72.4,
        video_top5=90.6,
        protocol=DENSE,
    ),
    vmz_row(
        "r2plus1d_34",
        "sports1m_kinetics400_32f",
        (32, 3),
        "odd9smqn2t54run/r2.5d_d34_l32_ft_sports1m.pkl",
        pretraining="Sports-1M",
        **RGB_34,
        clip_top1=63.9,
        video_top1=74.2,
        video_top5=92.1,
        protocol=DENSE,
    ),
    vmz_row(
        "r2plus1d_34",
        "sports1m_kinetics400_32f_flow",
        (32, 2),
        "30zj1t9xte5vy64/r2.5d_d34_l32_ft_sports1m_optical_flow.pkl",
        pretraining="Sports-1M",
        **FLOW_34,
        clip_top1=55.9,
        video_top1=68.2,
        video_top5=88.0,
        protocol=DENSE,
        note=FLOW_NOTE,
    ),
    vmz_row(
        "r2plus1d_34",
        "kinetics400_32f_flow",
        (32, 2),
        "qd0wjvhtqt88qx4/r2.5d_d34_l32_from_scratch_of_bn0.9.pkl",
        page="https://github.com/facebookresearch/VMZ/issues/7",
        **FLOW_34,
        note=f"{FLOW_NOTE} No accuracy of this file is published; the paper's Table 5 has 67.5 % "
        "and 87.2 % (video, top-1 and top-5) for a model trained so.",
    ),
    vmz_row(
        "r2plus1d_34",
        "kinetics400_hmdb51_32f",
        (32, 3),
        "f5iby7th62fki2t/r2plus1d_d34_l32_ft_hmdb51_epoch8.mdl",
        page="hmdb51_finetune.md",
        dataset="HMDB51",
        pretraining="Kinetics-400",
        num_classes=51,
        labels="hmdb51",
        # HMDB51's videos have 30 Hz and are used as they are (VMZ issue 55).
        preprocessing=Preprocessing(frame_rate=30.0),
        num_params=63518138,
        macs=152355536384,
        clip_top1=66.1,
        protocol="HMDB51 split 1; single clips",
        note="Fine-tuned from kinetics400_32f on split 1 (c2/scripts/finetune_hmdb51.sh).",
    ),
)
