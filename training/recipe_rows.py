"""Named trainings, as data: the paper's, torchvision's, and what is recommended for one's own.

Published learning rates are those of one GPU, times the number of GPUs (VMZ c2/tools/train_net.py
and torchvision's references/video_classification/train.py, both: base_lr * num_gpus). Here a rate
holds for `base_batch_size` clips, so that this is the published batch of one GPU. The batch itself,
`global_batch_size`, may be any: the rate follows.
"""

# Paper, section 4.1: 45 epochs of 1 million clips, whatever the number of videos, with 32 clips and
# a rate of 0.01 a GPU; the first 10 epochs warm up (Goyal et al., arXiv:1706.02677), then the rate
# falls to a tenth every 10 epochs: at 20, 30 and 40, as torchvision's --lr-milestones have it.
# Momentum, its form and weight decay: VMZ c2/tools/train_net.py, c2/scripts/
# train_r2plus1d_kinetics.sh (where there is no warm-up: 35 epochs, rate 0.01 and 32 clips a GPU).
# Statistics of batch normalisation are those of a GPU's 32 clips, as Caffe2's SpatialBN has them.
_KINETICS = {
    "dataset": "kinetics400",
    "clip_frames": 16,
    "clips_per_epoch": 1_000_000,
    "epochs": 45,
    "global_batch_size": 32,
    "base_learning_rate": 0.01,
    "base_batch_size": 32,
    "warmup_epochs": 10.0,
    "schedule": "step",
    "step_epochs": 10.0,
    "step_factor": 0.1,
    "momentum": 0.9,
    "nesterov": True,
    "weight_decay": 1e-4,
    "sync_bn": False,
}

# VMZ c2/scripts/finetune_ucf101.sh: 8 GPUs with 4 clips each, of which statistics of batch
# normalisation are, as above; on other than 8 replicas they are of more or fewer, and training says
# so. Videos are used at the rate they have (VMZ issue 55), which is 25 Hz in most of UCF101's.
_UCF101 = {
    "dataset": "ucf101",
    "variant": "r2plus1d_34",
    "weights": "kinetics400",
    "clip_frames": 32,
    "frame_rate": 25.0,
    "clips_per_epoch": 100_000,
    "epochs": 8,
    "global_batch_size": 32,
    "base_learning_rate": 1e-4,  # 8e-4 at 32 clips
    "base_batch_size": 4,
    "warmup_epochs": 0.0,
    "schedule": "step",
    "step_epochs": 2.0,
    "step_factor": 0.1,
    "momentum": 0.9,
    "nesterov": True,
    "weight_decay": 0.005,
    "sync_bn": False,
}

# For a few thousand videos of one's own on one GPU. A new classifier gives the body large and
# meaningless gradients: it learns alone for two epochs, and then at ten times the schedule's rate.
# Early layers fit any video and change least: each stage learns at 0.7 of the next one's rate, the
# stem at a sixth of the schedule's. A cosine has no steps to tune; smoothing, dropout and scale
# jitter are against learning few videos by heart. Under stream="flow" the numbers hold too, but
# weights have to be named: of flow there are published ones of r2plus1d_34 alone, 32 frames long.
_FINETUNE = {
    "dataset": "folder",
    "variant": "r2plus1d_18",
    "weights": "kinetics400",
    "epochs": 20,
    "global_batch_size": 32,
    "base_learning_rate": 0.01,
    "base_batch_size": 32,
    "warmup_epochs": 1.0,
    "schedule": "cosine",
    "weight_decay": 1e-4,
    "head_epochs": 2,
    "head_factor": 10.0,
    "layer_decay": 0.7,
    "label_smoothing": 0.1,
    "dropout": 0.5,
    "jitter_scale": 1.25,
}

RECIPES = {
    "default": {},
    # A narrow network that learns the eight motions from scratch in minutes on two CPU cores.
    "demo": {
        "dataset": "motion",
        "variant": "r2plus1d_10",
        "width_multiplier": 0.125,
        "clip_frames": 8,
        "crop_size": 32,
        "resize_height": 32,
        "resize_width": 32,
        "random_flip": False,
        "epochs": 12,
        "clips_per_epoch": 1280,
        "base_learning_rate": 0.1,
        "warmup_epochs": 1.0,
        "schedule": "cosine",
        "num_cpu_replicas": 2,
    },
    # A few classes of UCF101 from scratch within half an hour on two CPU cores. A few hundred
    # videos are soon known by heart: hence jitter, dropout, smoothing and a large weight decay. At
    # 7.5 Hz eight frames show a second of the action. Crops take the whole height: 164 epochs of
    # 56x56 out of 64x86 gave 82.2 % in the mean of three seeds, these give 83.5 %.
    "ucf101_small_cpu": {
        "dataset": "ucf101",
        "variant": "r2plus1d_10",
        "width_multiplier": 0.25,
        "clip_frames": 8,
        "frame_rate": 7.5,
        "crop_size": 80,
        "resize_height": 80,
        "resize_width": 107,
        "jitter_scale": 1.5,
        "jitter_color": 0.3,
        "dropout": 0.5,
        "label_smoothing": 0.1,
        "weight_decay": 5e-3,
        "clips_per_epoch": 1080,
        "epochs": 56,
        "global_batch_size": 16,
        "base_learning_rate": 0.05,
        "warmup_epochs": 2.8,
        "schedule": "cosine",
        "ema_decay": 0.998,
        "validate_every": 10,
    },
    "kinetics_scratch": {**_KINETICS, "variant": "r2plus1d_18"},
    # Paper, section 4.3: 15 epochs from 0.001, a tenth of it every 4. The paper did it with 34
    # layers, whose Sports-1M weights were never published (--init_from=RUN takes one's own); those
    # of 152 layers were.
    "sports1m_to_kinetics": {
        **_KINETICS,
        "variant": "r2plus1d_152",
        "weights": "sports1m_32f",
        "clip_frames": 32,
        "epochs": 15,
        "base_learning_rate": 0.001,
        "warmup_epochs": 0.0,
        "step_epochs": 4.0,
    },
    "ucf101_finetune": _UCF101,
    # VMZ c2/scripts/finetune_hmdb51.sh, and its issue 55: HMDB51 has 30 Hz.
    "hmdb51_finetune": {
        **_UCF101,
        "dataset": "hmdb51",
        "frame_rate": 30.0,
        "clips_per_epoch": 40_000,
        "base_learning_rate": 2e-4,  # 1.6e-3 at 32 clips
    },
    # torchvision/models/video/README.md and references/video_classification/train.py: 24 clips a
    # GPU, 5 clips of each video an epoch, plain momentum, batch statistics of one GPU. There weight
    # decay is of all parameters, here of kernels alone.
    "torchvision": {
        **_KINETICS,
        "variant": "r2plus1d_18",
        "convention": "torchvision",
        "clips_per_epoch": 0,
        "clips_per_video": 5,
        "global_batch_size": 24,
        "base_batch_size": 24,
        "nesterov": False,
    },
    "finetune": _FINETUNE,
    # The same from weights pretrained on IG-65M, the best published ones of 34 layers: for
    # a large GPU.
    "finetune_large": {
        **_FINETUNE,
        "variant": "r2plus1d_34",
        "weights": "ig65m_kinetics400_32f",
        "global_batch_size": 8,
        "precision": "mixed_bfloat16",
    },
    # The classifier alone: a first answer, on a CPU or for a few dozen videos a class.
    "linear_probe": {
        **_FINETUNE,
        "epochs": 10,
        "head_epochs": 10,
        "warmup_epochs": 0.0,
        "layer_decay": 1.0,
        "validate_every": 5,
    },
}
"""Named rows of values that differ from TrainConfig's defaults."""
