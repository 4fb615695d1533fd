"""What benchmarks/formats.py and benchmarks/serving.py make of their numbers."""

from benchmarks import formats_report, serving_report

ABOUT = {"date": "2026-11-23", "machine": "a CPU, 2 cores", "versions": "Python 3.11", "load": 0.5}


def cell(seconds, **more):
    return {"load_s": 1.0, "seconds": [seconds] * 3, "size": 2_000_000, "mib": 500.0, **more}


def test_serving_says_what_the_aims_come_to():
    cells = {
        "Keras": cell(0.5),
        "OpenVINO": cell(0.4),
        "OpenVINO, int8": cell(0.1),
        "ONNX Runtime": cell(0.6),
        "torchvision, eager": cell(1.0),
        "torchvision, eager, channels last": cell(0.8),
        "torchvision, compiled": {"failed": "took more than 600 s"},
        "torchvision in OpenVINO": cell(0.44),
        "torchvision in ONNX Runtime": cell(0.6),
    }
    text = serving_report.report(
        {"mc3_18, 8 clips of 16x112x112": {"batch": 8, "cells": cells, **ABOUT}}
    )
    assert "| OpenVINO, int8 | 100 | 100-100 | 80.00 | 8.00 | 1.0 | 500 | 2.0 |" in text
    assert "## mc3_18, 8 clips of 16x112x112" in text
    assert "| torchvision, compiled | failed: took more than 600 s |" in text
    assert "- Fastest: OpenVINO, int8, 8.00 times torchvision's best eager." in text
    assert "- Fastest in float32: OpenVINO, 2.00 times." in text
    assert "- OpenVINO: 1.10 times torchvision in OpenVINO." in text
    assert "- ONNX Runtime: 1.00 times torchvision in ONNX Runtime." in text
    assert "2026-11-23, a CPU, 2 cores; Python 3.11; 3 runs each" in text


def test_serving_without_torchvision_has_no_aims():
    row = {"batch": 1, "cells": {"OpenVINO": cell(0.5)}, **ABOUT}
    text = serving_report.report({"row": row})
    assert "- Fastest" not in text and "| OpenVINO | 500 |" in text


def test_formats_have_a_table_for_each_network():
    export = {"size": 2_500_000, "convert_s": 3.0, "load_s": 0.25, "seconds": 0.5, "largest": 1e-7}
    cells = {"keras": {"seconds": 0.75}, "OpenVINO int8": export}
    learned = {
        "keras": {"accuracy": 1.0, "same_best": 1.0, "largest": 0.0, "size": 0},
        "LiteRT int8": {"accuracy": 0.975, "same_best": 0.98, "largest": 0.125, "size": 40_000},
    }
    rows = {
        "mc3_18": {
            "name": "mc3_18",
            "clips": 12,
            "shape": [16, 112, 112, 400],
            "asked": {"width_multiplier": 1.0, "calibration_clips": 10, "num_clips": 12},
            "cells": cells,
            **ABOUT,
        },
        "mc3_10": {"name": "mc3_10, trained on motion", "clips": 160, "cells": learned, **ABOUT},
    }
    text = formats_report.report(rows)
    assert "| Keras | | | | 750 | |\n| OpenVINO int8 | 2.5 | 3 | 0.2 | 500 | 1.0e-07 |\n" in text
    assert "12 clips of 16x112x112, 400 classes, width 1, quantised by 10 clips; 2026" in text
    assert "## mc3_10, trained on motion" in text
    assert "| Keras | | 100.0% | | |\n| LiteRT int8 | 40 | 97.5% | 98.0% | 1.2e-01 |\n" in text
