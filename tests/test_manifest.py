import pathlib

import pytest

from r21d_keras.training.config import TrainConfig
from r21d_keras.training.data.datasets import load_dataset


def _csv(path, text, subset="train", **fields):
    path.write_text(text, encoding="utf-8")
    return load_dataset(TrainConfig(dataset="csv", manifest=str(path), **fields), subset)


def test_manifest(tiny_videos, tmp_path):
    relative = pathlib.Path("videos")
    (tmp_path / "videos").symlink_to(tiny_videos)
    rows = [f"{relative}/dark/dark_{i}.mp4,10,{'test' if i == 3 else 'train'}" for i in range(4)]
    rows += [f'"{tiny_videos}/bright/bright_{i}.mp4", 9, train' for i in range(2)]
    text = "\ufeffpath,label,subset\r\n" + "\r\n".join(rows) + "\r\n"
    train = _csv(tmp_path / "all.csv", text)
    assert train.classes == ("9", "10")  # numbers in the order of numbers
    assert train.labels == (1, 1, 1, 0, 0)
    assert train.paths[0] == str(tmp_path / "videos" / "dark" / "dark_0.mp4")
    test = _csv(tmp_path / "all.csv", text, "test")
    assert test.classes == train.classes and test.labels == (1,)


def test_manifest_without_subsets(tiny_videos, tmp_path):
    names = [f"{name}/{name}_{i}.mp4" for name in ("bright", "dark") for i in range(5)]
    text = "label,path\n" + "".join(f"{name[0]},{tiny_videos}/{name}\n" for name in names)
    paths = [_csv(tmp_path / "all.csv", text, subset).paths for subset in ("train", "test")]
    assert [len(p) for p in paths] == [8, 2] and len(set(sum(paths, ()))) == 10


def test_spaces_around_values_do_not_count(tiny_videos, tmp_path):
    text = " path , label,subset \n" + "".join(
        f" {tiny_videos}/{name}/{name}_{i}.mp4 ,{name}{' ' * i}, train \n"
        for name in ("bright", "dark")
        for i in range(3)
    )
    train = _csv(tmp_path / "all.csv", text)
    assert train.classes == ("bright", "dark") and train.labels == (0, 0, 0, 1, 1, 1)


def test_a_file_on_two_lines_is_refused(tiny_videos, tmp_path):
    (tmp_path / "link").symlink_to(tiny_videos / "dark")
    (tmp_path / "other.mp4").symlink_to(tiny_videos / "bright" / "bright_0.mp4")
    text = f"""path,label,subset
{tiny_videos}/dark/dark_0.mp4,d,train
{tiny_videos}/bright/bright_0.mp4,b,train
link/dark_0.mp4,d,test
other.mp4,d,train
"""
    with pytest.raises(ValueError) as error:
        _csv(tmp_path / "all.csv", text)
    again = "line 4, link/dark_0.mp4, as line 2; line 5, other.mp4, as line 3"
    said = f"2 lines with a file that has one already: {again}. Keep one line for each file."
    assert said in str(error.value)


def test_manifests_that_are_wrong(tiny_videos, tmp_path):
    good = f"{tiny_videos}/dark/dark_0.mp4"
    for text, reason in (
        ("file,class\n", "its header has file, class; expected the columns path,label"),
        ("", "its header has nothing"),
        (f"path,label\n{good},a\nnone.mp4,b\n", "1 wrong line: line 3: no such file: none.mp4"),
        (f"path,label\n{good},\n", "line 2: no label"),
        (f"path,label,subset\n{good},a,dev\n", "line 2: subset is 'dev'"),
        (f"path,label,subset\n{good},a\n", "line 2: subset is ''"),
        (f'path,label\n{good},"a\nb"\n', r"line 3: label 'a.nb' has a control character"),
        (f"path,label\n{good},a\u2029b\n", "line 2: label .* line separator"),
        (f"path,label\n{good},a\x1eb\n", "line 2: label .* control character"),
        (f"path,label\n{good},a,b\n", "line 2: more values than columns"),
        (f"path,label,subset\n{good},a,test\n", "no video for train"),
        ("path,label\n" + "x.mp4,a\n" * 9, "9 wrong lines: .*; and 4 more"),
    ):
        with pytest.raises(ValueError, match=reason):
            _csv(tmp_path / "wrong.csv", text)
    with pytest.raises(ValueError, match="no such file; expected a CSV"):
        load_dataset(TrainConfig(dataset="csv", manifest="absent.csv"), "train")


def test_a_class_without_a_video_to_train_on_is_an_error(tiny_videos, tmp_path):
    rows = [f"{tiny_videos}/{name}/{name}_0.mp4,{name},train" for name in ("bright", "dark")]
    for i, name in enumerate(("grey", "grey", "red")):
        (tmp_path / f"{i}.avi").write_text("no video")
        rows.append(f"{i}.avi,{name},train")
    text = "\n".join(["path,label,subset", *rows, f"{tiny_videos}/dark/dark_1.mp4,dark,test"])
    with pytest.raises(ValueError, match="2 classes have no video that can be read.*: grey; red"):
        _csv(tmp_path / "all.csv", text, on_bad_video="skip")
    assert len(_csv(tmp_path / "all.csv", text, "test", on_bad_video="skip")) == 1
    text = "\n".join(["path,label,subset", *rows[:2], f"{tiny_videos}/dark/dark_1.mp4,red,test"])
    with pytest.raises(ValueError, match="1 class has no video to train on: red"):
        _csv(tmp_path / "all.csv", text)


def test_one_class_is_refused(tiny_videos, tmp_path):
    text = "path,label\n" + "".join(f"{tiny_videos}/dark/dark_{i}.mp4,d\n" for i in range(5))
    for subset in ("train", "test"):
        with pytest.raises(ValueError, match="csv: 1 class, 'd'; expected at least 2"):
            _csv(tmp_path / "all.csv", text, subset)
