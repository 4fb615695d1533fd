"""What a run starts from, found and checked before its network is made."""

from dataclasses import dataclass

from absl import logging

from .config import ConfigError, TrainConfig
from .data.datasets import load_dataset
from .data.video_set import VideoSet
from .distribution.workers import Workers
from .optimization.optimizer import check_optimizer
from .records.service import check_service
from .run_folder import ModelDir
from .start import Start, find_start
from .state.resume import check_data, check_resumable, describe_data


@dataclass
class Found:
    """What a run starts from. `start` may hold as many numbers as the network."""

    start: Start | None
    videos: VideoSet
    test_videos: VideoSet | None
    data: dict


def look(config: TrainConfig, folder: ModelDir, workers: Workers) -> Found:
    """Checks all that can be checked before the network is made; finds what there is to train on.

    Raises:
        ConfigError: and what else `train` says, but for what happens while it trains.
    """
    check_optimizer(config)
    fresh = not check_resumable(folder, config)
    start = find_start(config) if fresh and workers.is_chief else None
    _check_batch(config, workers.part.replicas)
    videos = load_dataset(config, "train")
    test_videos = load_dataset(config, "test") if config.validate_every else None
    _check_classes(folder, videos, test_videos)
    if config.data_service:
        check_service(videos, config)
    data = describe_data({"train": videos, "test": test_videos})
    if not fresh:
        check_data(folder, data)
    return Found(start, videos, test_videos, data)


def _check_batch(config: TrainConfig, replicas: int) -> None:
    steps = config.gradient_accumulation_steps
    if config.global_batch_size < replicas * steps:
        each = f", each with gradient_accumulation_steps={steps}" if steps > 1 else ""
        raise ConfigError(
            f"global_batch_size={config.global_batch_size} is less than the {replicas} replicas"
            f"{each}; give each at least one clip, or use --strategy=one."
        )
    here, published = config.global_batch_size / (replicas * steps), config.base_batch_size
    if not config.sync_bn and here != published:
        steps, left = divmod(config.global_batch_size, replicas * published)
        advice = f"--global_batch_size={published * replicas}"
        if steps and not left:
            advice = f"--gradient_accumulation_steps={steps} or {advice}"
        logging.warning(
            "sync_bn=False: statistics of batch normalisation are of the %g clips that a replica "
            "takes at once; base_batch_size=%d is what they are of where the learning rate comes "
            "from. %s gives each replica as many.",
            *(here, published, advice),
        )


def _check_classes(folder: ModelDir, videos: VideoSet, test_videos: VideoSet | None) -> None:
    if test_videos and test_videos.classes != videos.classes:
        differing = sorted(set(videos.classes) ^ set(test_videos.classes))
        raise ConfigError(
            f"The videos to train on have {len(videos.classes)} classes, those to test on "
            f"{len(test_videos.classes)}; only in one of them: {', '.join(differing)}."
        )
    if folder.config.is_file() and folder.read_run()[1] != videos.classes:
        raise ConfigError(
            f"{folder.classes} lists other classes than {videos.name} has now. Give another "
            "--model_dir for other data."
        )
