"""Image data: original layouts, splits that share nothing, seeded augmentation, the stand-in's known truth, damaged files."""

from __future__ import annotations

import gzip
import os
import pickle
import struct
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from bench import choices
from bench.schema import Arrays, BenchError, MissingData
from datasets.images import readers
from datasets.images.adapter import gather, load, stratified
from datasets.images.config import Config
from datasets.images.transforms import Pictures, augmentation
from datasets.images.twin import simulate

DATA = os.environ.get("BENCH_DATA", "")


def config(name, scale="reduced", **changes):
    """The dataclass behind a YAML, as the frame makes it."""
    return choices.typed("data", {**choices.raw("data", name), **changes}, scale)


def bundle(cfg, root, cache=None, source="real", fold="split0"):
    return load(cfg, fold=fold, source=source, root=Path(root), cache=Path(cache or root) / "cache")


def real(folder):
    if not DATA or not (Path(DATA) / folder).is_dir():
        pytest.skip(f"BENCH_DATA holds no {folder}")
    return Path(DATA)


def pixels(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, size=shape, dtype=np.uint8)


# --- data that ship with a dependency, and splits


def test_digits_and_their_splits(tmp_path):
    """Every image is in exactly one part; class shares are kept; folds are other draws; values 0 to 16 as published."""
    cfg = config("digits")
    a, b = (bundle(cfg, tmp_path, fold=f) for f in ("split0", "split1"))
    assert a.origin == "real" and a.shape == (1, 8, 8) and a.meta["white"] == 16
    assert [len(s) for s in (a.train, a.val, a.test)] == [810, 90, 897]
    assert a.train.x.dtype == np.uint8 and a.train.x.max() == 16
    pool = gather(cfg, "real", tmp_path, tmp_path)
    total = sum(np.sort(s.x.reshape(len(s), -1).sum(1)).sum() for s in (a.train, a.val, a.test))
    assert total == pool.x.sum(dtype=np.int64)
    assert a.fingerprint != b.fingerprint and a.fingerprint == bundle(cfg, tmp_path).fingerprint
    z = (a.train.x / 16 - a.meta["mean"][0]) / a.meta["std"][0]
    assert abs(z.mean()) < 1e-12 and abs(z.std() - 1) < 1e-12


def test_stratified_draws_keep_shares():
    """For every class |count - k share| < 1 + rounding, and another seed draws other images."""
    y = np.repeat([0, 1, 2], [50, 30, 20])
    for k in (10, 37, 99):
        rows = stratified(y, np.arange(100), k, np.random.default_rng(0))
        assert len(set(rows)) == k
        assert np.abs(np.bincount(y[rows], minlength=3) - k * np.array([0.5, 0.3, 0.2])).max() <= 1.5
    other = stratified(y, np.arange(100), 10, np.random.default_rng(1))
    assert not np.array_equal(other, stratified(y, np.arange(100), 10, np.random.default_rng(0)))


def test_subset_and_test_choices(tmp_path):
    b = bundle(config("digits", n_train=300, n_test=1497, val_share=0.0), tmp_path)
    assert len(b.train) == 300 and b.val is None and len(b.test) == 1497
    with pytest.raises(BenchError, match=r"data.n_train=1000 is more than the 900"):
        bundle(config("digits", n_train=1000), tmp_path)
    with pytest.raises(BenchError, match=r"data.n_test=1797 leaves no training image"):
        bundle(config("digits", n_test=1797), tmp_path)


# --- original layouts


@pytest.mark.real
def test_mnist_of_the_data_root(tmp_path):
    b = bundle(config("mnist"), real("mnist"), tmp_path)
    assert len(b.train) + len(b.val) == 60000 and len(b.test) == 10000 and b.shape == (1, 28, 28)
    assert b.test.y[:5].tolist() == [7, 2, 1, 0, 4]


@pytest.mark.real
def test_cifar_subset_of_the_data_root(tmp_path):
    b = bundle(config("cifar10_subset"), real("cifar10_subset"), tmp_path)
    assert b.test.y[:8].tolist() == [3, 8, 8, 0, 6, 6, 1, 6] and len(b.train) == 2700
    assert b.meta["class_names"][b.test.y[0]] == "cat"


@pytest.mark.real
def test_omniglot_of_the_data_root(tmp_path):
    cfg = config("omniglot", image_size=None)
    pool = gather(cfg, "real", real("omniglot_small"), tmp_path)
    assert pool.x.shape == (2720, 1, 105, 105) and np.bincount(pool.y).tolist() == [20] * 136
    assert set(np.unique(pool.x)) == {0, 255} and pool.x.mean() < 40, "strokes are white on black"


def idx_bytes(a):
    return struct.pack(f">HBB{a.ndim}I", 0, 8, a.ndim, *a.shape) + a.tobytes()


def test_mnist_from_idx_files(tmp_path):
    """Plain and gzipped, in torchvision's folder; a truncated file is named."""
    folder = tmp_path / "mnist" / "MNIST" / "raw"
    folder.mkdir(parents=True)
    x, y, x_test, y_test = (
        pixels(30, 28, 28),
        np.arange(30, dtype=np.uint8) % 10,
        pixels(6, 28, 28, seed=1),
        np.arange(6, dtype=np.uint8),
    )
    (folder / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx_bytes(x)))
    (folder / "train-labels-idx1-ubyte").write_bytes(idx_bytes(y))
    (folder / "t10k-images-idx3-ubyte").write_bytes(idx_bytes(x_test))
    (folder / "t10k-labels-idx1-ubyte").write_bytes(idx_bytes(y_test))
    cfg = config("mnist")
    assert cfg.present(tmp_path, tmp_path)
    b = bundle(cfg, tmp_path)
    assert np.array_equal(b.test.x[:, 0], x_test) and np.array_equal(b.test.y, y_test)
    (folder / "t10k-images-idx3-ubyte").write_bytes(idx_bytes(x_test)[:-1])
    with pytest.raises(BenchError, match=r"t10k-images-idx3-ubyte announces \(6, 28, 28\)"):
        bundle(cfg, tmp_path)


@pytest.mark.parametrize("layout", ["pickle2", "pickle4", "binary"])
def test_cifar10_from_its_batches(tmp_path, layout):
    """Row-major planes, red first; more than 1000 labels, which pickle writes in pieces."""
    x, y = pixels(1203, 3, 32, 32), np.random.default_rng(1).integers(0, 10, 1203)
    home = tmp_path / "cifar10" / ("cifar-10-batches-bin" if layout == "binary" else "cifar-10-batches-py")
    home.mkdir(parents=True)
    names = [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]
    for k, name in enumerate(names):
        labels = (y + k) % 10
        if layout == "binary":
            rows = np.concatenate([labels[:, None].astype(np.uint8), x.reshape(len(x), -1)], axis=1)
            (home / f"{name}.bin").write_bytes(rows.tobytes())
        else:
            content = {
                b"batch_label": b"training batch", b"labels": labels.tolist(), b"data": x.reshape(len(x), -1),
                b"filenames": [b"a.png"] * len(x),
            }  # fmt: skip
            if layout == "pickle2":
                content = {k.decode(): v for k, v in content.items()}
            (home / name).write_bytes(pickle.dumps(content, protocol=int(layout[-1])))
    cfg = config("cifar10", augment="none", val_share=0.0)
    pool = gather(cfg, "real", tmp_path, tmp_path)
    assert pool.x.shape == (6 * 1203, 3, 32, 32)
    assert np.array_equal(pool.x[:1203], x) and np.array_equal(pool.y[:1203], y)
    assert np.array_equal(pool.y[-1203:], (y + 5) % 10) and pool.test[0] == 5 * 1203


class Bomb:
    def __reduce__(self):
        return os.mkdir, ("exploded",)


def test_a_pickle_is_read_and_never_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "data_batch_1"
    path.write_bytes(pickle.dumps({"labels": [1, 2], "data": pixels(2, 3072), "more": Bomb()}, protocol=2))
    assert readers.cifar_batch(path, 10)[1].tolist() == [1, 2]
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(BenchError, match="no batch of CIFAR"):
        readers.cifar_batch(path, 10)
    assert not (tmp_path / "exploded").exists()
    path.write_bytes(pickle.dumps({"labels": [1, 2], "data": pixels(2, 3072)})[:-3000])
    with pytest.raises(BenchError, match=r"truncated|no batch of CIFAR"):
        readers.cifar_batch(path, 10)


def test_cifar_archive_is_checked_before_it_is_unpacked(tmp_path):
    (tmp_path / "cifar10").mkdir()
    with tarfile.open(tmp_path / "cifar10" / "cifar-10-python.tar.gz", "w:gz"):
        pass
    with pytest.raises(BenchError, match="truncated or altered"):
        bundle(config("cifar10"), tmp_path)


def test_cifar100_binary_takes_the_fine_label(tmp_path):
    rows = np.concatenate([np.array([[3, 77], [5, 12]], dtype=np.uint8), pixels(2, 3072)], axis=1)
    (tmp_path / "train.bin").write_bytes(rows.tobytes())
    x, y = readers.cifar_batch(tmp_path / "train.bin", 100)
    assert y.tolist() == [77, 12] and x.shape == (2, 3, 32, 32)


def test_an_altered_archive_is_refused(tmp_path):
    (tmp_path / "cifar10_subset").mkdir()
    np.savez(tmp_path / "cifar10_subset" / "cifar10_subset.npz", x_train=pixels(4, 32, 32, 3))
    with pytest.raises(BenchError, match="truncated or altered"):
        bundle(config("cifar10_subset"), tmp_path)
    with pytest.raises(BenchError, match="cannot be read as x_train"):
        bundle(config("cifar10_subset", folder="cifar10_subset"), tmp_path)
    empty = tmp_path / "omni"
    empty.mkdir()
    with zipfile.ZipFile(empty / "a.zip", "w") as z:
        z.writestr("run/alphabet/char/a.png", b"no image")
    with pytest.raises(BenchError, match=r"1 unreadable images, first run/alphabet/char/a.png"):
        gather(config("omniglot", folder="omni"), "real", tmp_path, tmp_path)


# --- folders


def save(path, size=(40, 50), seed=0, mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    a = pixels(*size, 3, seed=seed)
    Image.fromarray(a).convert(mode).save(path)


@pytest.fixture
def photographs(tmp_path):
    """Three classes, mixed sizes, with train/ and val/."""
    for part, n in (("train", 6), ("val", 2)):
        for c, name in enumerate(("ant", "bee", "cat")):
            for i in range(n):
                save(tmp_path / "pics" / part / name / f"{i}.png", (40 + 3 * i, 60 - 2 * i), seed=100 * c + i)
    return tmp_path


def folder(**changes):
    return config("image_folder", folder="pics", **changes)


def test_class_folders(photographs):
    b = bundle(folder(), photographs)
    assert (b.n_out, b.shape, b.meta["class_names"]) == (3, (3, 64, 64), ["ant", "bee", "cat"])
    assert [len(s) for s in (b.train, b.val, b.test)] == [16, 2, 6] and b.test.y.tolist() == [0, 0, 1, 1, 2, 2]
    x, y = b.test[0]
    assert x.dtype == torch.uint8 and x.shape == (3, 64, 64) and y == 0
    assert torch.equal(b.test[0][0], b.test[0][0])


def test_class_folders_without_a_test_part(photographs):
    b = bundle(config("image_folder", folder="pics/train"), photographs)
    assert len(b.test) == 9 and not set(b.test.items) & (set(b.train.items) | set(b.val.items))


def test_split_files(photographs):
    home = photographs / "pics"
    (home / "a.txt").write_text("train/ant/0.png 0\ntrain/bee/0.png 1\ntrain/bee/1.png 1\ntrain/ant/1.png 0\n")
    (home / "b.txt").write_text("val/bee/0.png 1\n")
    b = bundle(folder(train_list="a.txt", test_list="b.txt", val_share=0.0), photographs)
    assert len(b.train) == 4 and b.test.y.tolist() == [1]
    (home / "b.txt").write_text("val/bee/0.png\n")
    with pytest.raises(BenchError, match="each needs `path label`"):
        bundle(folder(train_list="a.txt", test_list="b.txt"), photographs)


def test_cub_aircraft_and_cars(tmp_path):
    """The publishers' own split files."""
    from scipy.io import savemat

    cub, air, cars = (tmp_path / n for n in ("CUB_200_2011", "fgvc-aircraft-2013b", "stanford_cars"))
    for i in range(4):
        save(cub / "images" / "001.A" / f"{i}.jpg", seed=i)
        save(air / "data" / "images" / f"00{i}.jpg", seed=i)
        save(cars / ("cars_train" if i < 2 else "cars_test") / f"0000{i}.jpg", seed=i)
    (cub / "images.txt").write_text("".join(f"{i + 1} 001.A/{i}.jpg\n" for i in range(4)))
    (cub / "image_class_labels.txt").write_text("1 1\n2 2\n3 1\n4 2\n")
    (cub / "train_test_split.txt").write_text("1 1\n2 1\n3 0\n4 1\n")
    (cub / "classes.txt").write_text("1 001.A\n2 002.B\n")
    (air / "data" / "images_variant_trainval.txt").write_text("000 Boeing 707\n001 A300\n002 A300\n")
    (air / "data" / "images_variant_test.txt").write_text("003 Boeing 707\n")
    (cars / "devkit").mkdir()
    for part, files, labels in (
        ("train_annos", ["00000.jpg", "00001.jpg"], [2, 1]),
        ("test_annos_withlabels", ["00002.jpg", "00003.jpg"], [1, 2]),
    ):
        table = np.array(list(zip(files, labels, strict=True)), dtype=[("fname", "O"), ("class", "O")])
        savemat(cars / "devkit" / f"cars_{part}.mat", {"annotations": table})
    small = {"image_size": 32, "val_share": 0.0}
    b = bundle(config("cub", **small), tmp_path)
    assert (b.train.y.tolist(), b.test.y.tolist(), b.n_out) == ([0, 1, 1], [0], 2)
    b = bundle(config("aircraft", **small), tmp_path)
    assert (b.train.y.tolist(), b.test.y.tolist(), b.meta["class_names"]) == ([1, 0, 0], [1], ["A300", "Boeing 707"])
    b = bundle(config("cars", **small), tmp_path)
    assert (b.train.y.tolist(), b.test.y.tolist()) == ([1, 0], [0, 1])


def test_bad_files_are_named_and_counted(photographs, capsys):
    """Truncated, no image, missing channels: refused, and left out with skip_bad; the verdict is remembered but not believed blindly."""
    home = photographs / "pics"
    whole = (home / "train/ant/0.png").read_bytes()
    (home / "train/ant/0.png").write_bytes(whole[: len(whole) // 2])
    (home / "train/bee/1.png").write_bytes(b"hello")
    with pytest.raises(BenchError, match=r"2 of 24 images .*train/ant/0.png.*train/bee/1.png.*data.skip_bad=true"):
        bundle(folder(), photographs)
    b = bundle(folder(skip_bad=True), photographs)
    assert len(b.train) + len(b.val) == 16 and "2 of 24 images" in capsys.readouterr().out
    (home / "train/ant/0.png").write_bytes(whole)
    (home / "train/bee/1.png").write_bytes(whole)
    assert len(bundle(folder(), photographs).train) == 16
    save(home / "train" / "bee" / "1.png", mode="L")
    with pytest.raises(
        BenchError, match=r"1 of 24 images .*train/bee/1.png: 1 channels where most have 3; data.channels=3"
    ):
        bundle(folder(channels=None), photographs)


def test_choices_that_contradict_each_other():
    for words, text in (
        ({"image_size": None}, "data.image_size is null"),
        ({"folder": None}, "data.folder is null"),
        ({"channels": 2}, "data.channels=2"),
        ({"train_list": "a.txt"}, "go together"),
        ({"twin": {"parts": 2, "classes": 17}}, "gives 16 codes"),
        ({"train_size": 16}, "train_size is for random resized crops"),
        ({"magnitude": 9.0}, "magnitude is of rand"),
        ({"dataset": "digits", "test_crop": 1.0}, "test_crop is for photographs"),
    ):
        with pytest.raises(BenchError, match=text):
            config("image_folder", **({"folder": "pics"} | words))


def test_absent_data_say_how_to_get_them(tmp_path):
    from bench.plan import resolve

    cfg = config("cifar100", source="real")
    with pytest.raises(MissingData, match=r"cifar100.*bench prepare data=cifar100"):
        resolve(cfg, tmp_path, tmp_path, download=False)
    assert not config("random_images").present(tmp_path, tmp_path)


# --- augmentation


@pytest.mark.parametrize("name", ["shift", "crop_flip", "rrc_flip", "trivial", "rand", "three"])
def test_augmentation_is_a_function_of_epoch_and_index(name):
    """The same epoch gives the same picture in any order; another epoch, another picture; the global generator is left alone."""
    data = Pictures(pixels(6, 3, 32, 32), np.arange(6), augmentation(name, 32), random=True)
    data.begin_epoch(1)
    first = [data[i][0] for i in range(6)]
    before = torch.random.get_rng_state()
    assert all(torch.equal(data[i][0], first[i]) for i in reversed(range(6)))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert first[0].dtype == torch.uint8 and first[0].shape == (3, 32, 32)
    data.begin_epoch(2)
    assert any(not torch.equal(data[i][0], first[i]) for i in range(6))


def test_threads_give_the_pictures_of_one(photographs, monkeypatch):
    """A batch decoded by threads is the samples one by one, in order, with their augmentation; a broken file is named."""
    data = bundle(folder(augment="rrc_flip"), photographs).train
    data.begin_epoch(3)
    one = [data[i] for i in range(len(data))]
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    order = list(reversed(range(len(data)))) * 2
    batch = data.__getitems__(order)
    assert all(torch.equal(x, one[i][0]) and y == one[i][1] for i, (x, y) in zip(order, batch, strict=True))
    data.items[4].write_bytes(b"broken")
    with pytest.raises(BenchError, match=rf"{data.items[4].name} cannot be decoded .*data.skip_bad=true"):
        data.__getitems__(order)


def test_erasing_leaves_a_rectangle_of_the_mean():
    """What differs from the image is one rectangle, its value that of each channel; the share of erased images is as asked."""
    x = np.full((200, 2, 24, 24), 7, dtype=np.uint8)
    data = Pictures(x, np.arange(200), augmentation("none", 24, erase=0.25, grey=[50.0, 90.0]), random=True)
    erased = 0
    for i in range(200):
        z = data[i][0].numpy()
        rows, columns = np.nonzero(z[0] != 7)
        erased += len(rows) > 0
        if len(rows):
            box = z[:, rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
            assert (box[0] == 50).all() and (box[1] == 90).all() and (z[0] != 7).sum() == box[0].size
    assert 30 < erased < 70


def test_crops_of_training_and_of_the_test(photographs):
    """train_size is that of training images alone; test_crop is the share of the shorter side that is tested."""
    b = bundle(folder(augment="rrc_flip", train_size=16, test_crop=1.0, erase=0.5), photographs)
    assert b.train[0][0].shape == (3, 16, 16) and b.test[0][0].shape == (3, 64, 64) == b.shape
    usual = bundle(folder(augment="rrc_flip"), photographs)
    assert b.fingerprint != usual.fingerprint and not torch.equal(b.test[0][0], usual.test[0][0])
    assert bundle(folder(erase=1.0), photographs).train[0][0].shape == (3, 64, 64)


def test_only_training_images_are_augmented(tmp_path):
    b = bundle(config("digits", augment="shift"), tmp_path)
    assert isinstance(b.train, Pictures) and isinstance(b.val, Arrays) and isinstance(b.test, Arrays)
    plain = bundle(config("digits"), tmp_path)
    assert np.array_equal(b.train.y, plain.train.y) and b.fingerprint != plain.fingerprint


# --- conversion and the stand-in


def test_size_and_channels(tmp_path):
    b = bundle(config("digits", image_size=16, channels=3), tmp_path)
    assert b.shape == (3, 16, 16) and np.array_equal(b.test.x[:, 0], b.test.x[:, 2])
    assert len(b.meta["mean"]) == 3


def test_the_truth_of_the_stand_in_is_recovered():
    """Matched filters with the true parts find the code of an image, cell by cell and over all shifts, and with it the class."""
    cfg = Config(name="t", dataset="twin").twin
    made = simulate((3, 32, 32), 12, 120, cfg)
    assert len({tuple(c) for c in made.codes}) == 12
    x = made.x.astype(np.float64) - 128
    found = np.empty((120, 4), dtype=int)
    for cell in range(4):
        top, left = 16 * (cell // 2), 16 * (cell % 2)
        patch = np.fft.fft2(x[:, :, top : top + 16, left : left + 16])
        parts = np.fft.fft2(made.parts[cell])
        match = np.fft.ifft2((patch[:, None] * parts.conj()[None]).sum(2)).real  # correlation at every shift
        found[:, cell] = match.max((-2, -1)).argmax(1)
    assert (found == made.codes[made.y]).mean() > 0.95
    decoded = (found[:, None] == made.codes[None]).sum(2).argmax(1)
    assert (decoded == made.y).mean() > 0.97


def test_one_part_does_not_tell_the_class():
    """With ten classes and four parts a part is shared: knowing one cell's part leaves two classes or more, on average."""
    made = simulate((1, 16, 16), 10, 10, Config(name="t", dataset="twin").twin)
    for cell in range(4):
        counts = np.bincount(made.codes[:, cell], minlength=4)
        assert counts.max() >= 3
    shared = (made.codes[:, None] == made.codes[None]).sum(2)[~np.eye(10, dtype=bool)]
    assert shared.max() <= 2


@pytest.mark.parametrize("name", ["imagenet", "cub", "random_images", "omniglot"])
def test_stand_ins_have_the_right_shape(name, tmp_path):
    cfg = config(name)
    b = bundle(cfg, tmp_path, source="synthetic")
    assert b.origin == "synthetic_twin" and b.shape == cfg.shape()
    x = b.train[0][0] if isinstance(b.train, Pictures) else b.train.x[0]
    assert tuple(x.shape) == b.shape
