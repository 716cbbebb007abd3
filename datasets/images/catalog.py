"""Facts of the image data sets: layout, place under the data root, size, licence, published files. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass

from bench.schema import File

OMNIGLOT = "https://raw.githubusercontent.com/brendenlake/omniglot/057f034baf2ecb8530bc5710e5a23584d2a519cc/python"


@dataclass(frozen=True)
class Facts:
    """`layout` names a reader; `folder` lies under the data root; `shape` (channels, height, width) of a stored image, 0 for
    mixed sizes; `classes` how many there are; `official_test` whether the publisher fixed a test set."""

    layout: str
    folder: str
    shape: tuple[int, int, int]
    classes: int
    licence: str
    citation: str
    files: tuple[File, ...] = ()
    official_test: bool = True


UNSTATED = "no licence is stated by the publisher; research use"

CATALOG = {
    "digits": Facts(
        "digits", "", (1, 8, 8), 10, "CC BY 4.0 (UCI), shipped with scikit-learn",
        "alpaydin1998: Alpaydin, Kaynak, Optical Recognition of Handwritten Digits, UCI 1998", official_test=False,
    ),
    "mnist": Facts(
        "mnist", "mnist", (1, 28, 28), 10, UNSTATED, "lecun1998mnist: LeCun, Cortes, Burges, The MNIST database",
        (File("mnist/mnist-keras.npz", "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1", 11490434,
              "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz"),),
    ),
    "cifar10": Facts(
        "cifar", "cifar10", (3, 32, 32), 10, UNSTATED, "krizhevsky2009: Learning Multiple Layers of Features, 2009",
        (File("cifar10/cifar-10-python.tar.gz", "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
              170498071, "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"),),
    ),
    "cifar100": Facts(
        "cifar", "cifar100", (3, 32, 32), 100, UNSTATED, "krizhevsky2009: Learning Multiple Layers of Features, 2009",
        (File("cifar100/cifar-100-python.tar.gz", "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
              169001437, "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz"),),
    ),
    "cifar10_subset": Facts(
        "npz", "cifar10_subset", (3, 32, 32), 10, UNSTATED,
        "krizhevsky2009: Learning Multiple Layers of Features, 2009; first 4000 training and 1000 test images",
        (File("cifar10_subset/cifar10_subset.npz", "5e81f99fe5af185b32d0cb5efbf72c956a858f8e684fdfba6995f9e197878f5c",
              14163561),),
    ),
    "omniglot": Facts(
        "omniglot", "omniglot_small", (1, 105, 105), 136, "MIT",
        "lake2015: Human-level concept learning through probabilistic program induction, Science 2015",
        (File("omniglot_small/images_background_small1.zip",
              "f38eb80f801274ac2b4dff5b24289016bfaba4a7d5bb50deebf27104ad6cb8a4", 1319022,
              f"{OMNIGLOT}/images_background_small1.zip"),),
        official_test=False,
    ),
    "imagenet": Facts("classes", "imagenet", (3, 0, 0), 1000, "ImageNet terms of access: research, non-commercial",
                      "russakovsky2015: ImageNet Large Scale Visual Recognition Challenge, IJCV 2015"),
    "imagenet100": Facts("classes", "imagenet100", (3, 0, 0), 100,
                         "ImageNet terms of access: research, non-commercial",
                         "russakovsky2015: ImageNet Large Scale Visual Recognition Challenge, IJCV 2015"),
    "cub": Facts("cub", "CUB_200_2011", (3, 0, 0), 200, "non-commercial research and education",
                 "wah2011: The Caltech-UCSD Birds-200-2011 Dataset, 2011"),
    "cars": Facts("cars", "stanford_cars", (3, 0, 0), 196, "ImageNet terms: research, non-commercial",
                  "krause2013: 3D Object Representations for Fine-Grained Categorization, 2013"),
    "aircraft": Facts("aircraft", "fgvc-aircraft-2013b", (3, 0, 0), 100, "non-commercial research",
                      "maji2013: Fine-Grained Visual Classification of Aircraft, arXiv 1306.5151"),
    "herbarium": Facts("classes", "herbarium_19", (3, 0, 0), 683, "terms of the Herbarium 2019 challenge",
                       "tan2019: The Herbarium Challenge 2019 Dataset, arXiv 1906.05372"),
    "folder": Facts("classes", "", (3, 0, 0), 0, "that of the images", "", official_test=False),
    "twin": Facts("none", "", (3, 32, 32), 10, "made by this project's code", ""),
    "random": Facts("none", "", (3, 224, 224), 1000, "made by this project's code", ""),
}  # fmt: skip
LAZY = ("classes", "cub", "cars", "aircraft")  # layouts whose images are decoded one by one
