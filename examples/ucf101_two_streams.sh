#!/bin/sh
# The paper's experiments on UCF101, or on some of its classes, from videos to two fused streams:
#
#   examples/ucf101_two_streams.sh VIDEOS SPLITS OUT
#
# VIDEOS holds Class/video.avi, SPLITS the official lists; all that is made lies in OUT. Every step can be interrupted:
# started again with the same OUT, the script goes on where it was, and tests anew. These variables change what it does:
#
#   R21D     how to call the command                           (r21d)
#   RECIPE   a named recipe of `r21d train`                    (ucf101_small_cpu: small networks, from scratch)
#   RATE     frames a second, Hz                               (7.5, as the recipe)
#   METHOD   of optical flow: farneback, as the paper; dis     (dis)
#   MORE     further options of `r21d train`, for both streams (none)
#
# With a GPU and the paper's networks and weights: RECIPE=ucf101_finetune RATE=25 METHOD=farneback
set -eu
if [ $# -ne 3 ]; then
    sed -n '2,/^set -eu/s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
videos=$1 splits=$2 out=$3
r21d=${R21D:-r21d} recipe=${RECIPE:-ucf101_small_cpu} rate=${RATE:-7.5} method=${METHOD:-dis} more=${MORE:-}

step() {
    printf '\n==> r21d %s\n' "$*"
    $r21d "$@"
}

set -- --dataset=ucf101 --videos="$videos" --splits="$splits"
mkdir -p "$out"

# Is every video there, whole, once, and in its class? Then decode each once, for all three splits.
step prepare --check "$@" --report="$out/check.json"
step prepare "$@" --frame_rate="$rate" --out="$out/rgb"
step flow "$@" --frame_rate="$rate" --method="$method" --out="$out/flow"
step prepare --verify --out="$out/rgb"
step prepare --verify --out="$out/flow"

# RGB: all three splits, whose mean is what papers report. Flow: split 1.
step crossval --dataset=ucf101 --records="$out/rgb" --frame_rate="$rate" --recipe="$recipe" $more \
    --model_dir="$out/runs/rgb"
step train --dataset=ucf101 --records="$out/flow" --stream=flow --split=1 --frame_rate="$rate" --recipe="$recipe" \
    --jitter_color=0 $more --model_dir="$out/runs/flow/split_1" # flow has no colours

# Split 1 tested in three ways.
for stream in rgb flow; do
    run=$out/runs/$stream/split_1
    step evaluate --model_dir="$run"                                     # 10 clips a video, as the paper
    step evaluate --model_dir="$run" --num_crops=3 --out="$run/crops"    # 10 clips, 3 crops of each
    step evaluate --model_dir="$run" --protocol=dense --out="$run/dense" # whole frames of whole videos
done

# Both together. What --sweep finds is a choice on the test videos: report the accuracy at 0.5.
step fuse "$out/runs/rgb/split_1" "$out/runs/flow/split_1" --weight=0.5 --sweep --out="$out/fused"
