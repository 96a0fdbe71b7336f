"""OpenCLIP's own training program on its built-in synthetic data, with a tiny model."""

import json
import tempfile
from pathlib import Path

import open_clip
from open_clip_train.main import main as open_clip_main

MODEL = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "head_width": 32, "patch_size": 8},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "ViT-tiny.json").write_text(json.dumps(MODEL))
        open_clip.add_model_config(folder)
        options = {
            "dataset-type": "synthetic",
            "train-num-samples": 48,
            "model": "ViT-tiny",
            "batch-size": 8,
            "epochs": 1,
            "warmup": 2,
            "lr": 1e-3,
            "workers": 0,
            "device": "cpu",
            "precision": "fp32",
            "logs": folder,
            "log-every-n-steps": 1,
            "save-frequency": 0,
        }
        arguments = [text for name, value in options.items() for text in (f"--{name}", str(value))]
        open_clip_main(arguments)


if __name__ == "__main__":
    main()
