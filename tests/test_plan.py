"""From words to cells: what a key contains, what an experiment expands to, how mistakes are told."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

import pytest
import yaml

from bench import choices, plan, registry
from bench.schema import BenchError, TrainConfig, option
from tests.conftest import ROOT, command

SMOKE = ("data.source=synthetic", "scale=smoke")


def one(*words: str) -> plan.Cell:
    cells = plan.expand(["fold=0", *SMOKE, *words])
    assert len(cells) == 1
    return cells[0]


# ---------------------------------------------------------------------------------------------- keys


def test_key_ignores_placement_and_follows_choices():
    key = one().key
    for word in (
        "trainer=ddp",
        "trainer.threads=1",
        "logger=tensorboard",
        "out=/tmp/elsewhere",
        "deadline=60",
        "reuse=fresh",
    ):
        assert one(word).key == key
    for word in ("seed=1", "method.theta=0.5", "method.epochs=7", "data.twin.seed=9"):
        assert one(word).key != key
    assert one("fold=1").key != key and one("method=spdnet").key != key


def test_key_is_the_same_however_a_choice_is_written():
    assert one("method.epochs=8").key == one().key  # the value of `at.smoke`
    assert one("method.theta=1.0").key == one().key  # the default
    assert one("method=gbw_rbn", "data=bci").key == one().key


def test_a_new_field_with_a_neutral_default_changes_no_key():
    @dataclasses.dataclass
    class Before(TrainConfig):
        width: int = option(3, "")

    @dataclasses.dataclass
    class After(Before):
        depth: int = option(2, "")

    assert choices.chosen(Before(width=5)) == choices.chosen(After(width=5)) == {"width": 5}
    assert choices.chosen(After(width=5, depth=3)) == {"width": 5, "depth": 3}


def test_a_method_may_have_a_field_named_source():
    """The source of data is said elsewhere in the key; a choice of a method that has this name is a choice."""
    from bench.schema import DataConfig, MethodConfig, option

    @dataclasses.dataclass
    class Spectrum(MethodConfig):
        source: str = option("power_law", "of waves")

    assert choices.chosen(Spectrum(source="strings")) == {"source": "strings"}
    assert choices.chosen(DataConfig(source="real")) == {}


def test_keys_of_committed_experiments_are_pinned():
    """A key that moves orphans every stored row: it may only change with a version of the plugin. Update with
    `python tests/test_plan.py` after raising one."""
    assert experiment_keys() == json.loads((ROOT / "tests" / "keys.json").read_text())


def experiment_keys() -> dict[str, str]:
    """First cell of each method and data set of each experiment, on synthetic or simulated data (so that no files matter)."""
    registry.options.cache_clear()
    found = {}
    for name in registry.options("experiment"):
        for cell in plan.expand([f"experiment={name}", "data.source=synthetic"], strict=False):
            found.setdefault(
                f"{name} {cell.method.name} {cell.data.name} {cell.scale} {json.dumps(choices.chosen(cell.method), sort_keys=True)}",
                cell.key,
            )
    return found


# ---------------------------------------------------------------------------------------------- expansion


def test_the_method_chooses_its_data_and_the_command_line_wins():
    assert one("method=gbw_rbn").data.name == "bci"
    assert one("method=gbw_rbn", "data=eeg_twin").data.name == "eeg_twin"


def test_folds_by_index_name_list_and_all():
    def folds(pick: str) -> list[str]:
        return [c.fold for c in plan.expand([f"fold={pick}", *SMOKE])]

    assert folds("all") == [f"S{i:02d}" for i in range(1, 12)]
    assert folds("2") == folds("S03") == ["S03"]
    assert folds("[0,S11]") == ["S01", "S11"]


def test_shards_partition_the_cells():
    words = ["experiment=gbw_rbn/mamem", *SMOKE]
    everything = [c.key for c in plan.expand(words)]
    parts = [[c.key for c in plan.expand([*words, f"shard=[{i},3]"])] for i in range(3)]
    assert (
        sorted(key for part in parts for key in part) == sorted(everything)
        and len(set(everything)) == len(everything) == 88
    )
    with pytest.raises(BenchError, match=r"shard=\[3, 3\] must be"):
        plan.expand([*words, "shard=[3,3]"])


def test_a_sweep_over_shards_is_the_whole():
    words = ["experiment=gbw_rbn/mamem", "fold=0", *SMOKE]
    assert {c.key for c in plan.expand([*words, "shard=[0,2],[1,2]"])} == {c.key for c in plan.expand(words)}


def test_command_line_overrides_reach_every_cell_that_has_the_field():
    cells = plan.expand(["experiment=gbw_rbn/mamem", "fold=0", "method.epochs=2", "seed=3", *SMOKE])
    assert {c.seed for c in cells} == {3}
    assert {c.method.name: getattr(c.method, "epochs", None) for c in cells} == {
        "gbw_rbn": 2,
        "liebn_aim": 2,
        "bw_rbn": 2,
        "spdnet_bn": 2,
        "spdnet": 2,
        "mdm": None,
        "ts_lr": None,
    }
    assert {c.method.name for c in plan.expand(["experiment=gbw_rbn/mamem", "method=spdnet,mdm", *SMOKE])} == {
        "spdnet",
        "mdm",
    }
    with pytest.raises(BenchError, match=r"method\.width"):
        plan.expand(["experiment=gbw_rbn/mamem", "method.width=2", *SMOKE])


def test_sweeps_expand_without_doubles():
    cells = plan.expand(["method=spdnet,mdm", "seed=0,1", "fold=0", *SMOKE])
    assert [(c.method.name, c.seed) for c in cells] == [("spdnet", 0), ("spdnet", 1), ("mdm", 0), ("mdm", 1)]
    assert len(plan.expand(["seed=0,0", "fold=[0,S01]", *SMOKE])) == 1


def test_the_rerun_command_of_a_cell_gives_its_key():
    import shlex

    cell = one("method.theta=0.5", "seed=4", "data.twin.trials_per_session=24")
    words = shlex.split(cell.command)[2:]
    assert [c.key for c in plan.expand(words)] == [cell.key]


def test_quick_composition_is_hydras():
    """The first and the last job of every committed experiment, and values of every kind of YAML."""
    words = [
        [
            "method=mdm",
            "data=bci",
            "++method.half_widths=[0.5,1.0]",
            "++data.twin={drift: 0.5}",
            "trainer=gpu",
            "out=/x",
        ]
    ]
    with plan.composing():
        for name in registry.options("experiment"):
            jobs = plan._jobs([f"experiment={name}"], lenient=True)
            words += [jobs[0], jobs[-1]]
        for line in words:
            line = [w for w in line if plan.key(w) not in plan.AXES]
            assert plan._composed(line) == plan._compose(tuple(line)), line


def test_composition_is_fast():
    import time

    plan._compose.cache_clear()
    start = time.process_time()
    cells = plan.expand(["experiment=gbw_rbn/mamem", "seed=0,1,2", *SMOKE])
    assert len(cells) == 264
    assert time.process_time() - start < 1.5


def test_scale_fills_nulls_only():
    assert one().method.epochs == 8
    assert one("scale=paper").method.epochs == 200
    assert one("method.epochs=9").method.epochs == 9


# ---------------------------------------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("method=gbw_rnb", "did you mean gbw_rbn"),
        ("data=bcii", "did you mean bci"),
        ("experiment=gbw_rbn/mamen", "did you mean gbw_rbn/mamem"),
        ("method.thetta=1", "did you mean theta"),
        ("data.twin.sed=1", "did you mean twin.seed"),
        ("sed=1", "did you mean seed"),
        ("trainer.thread=1", "did you mean threads"),
        ("scale=smokey", "did you mean smoke"),
        ("method.norm=gwb", "did you mean gbw"),
        ("method.epochs=many", "could not be converted to Integer"),
        ("method.epochs=0", "must be at least 1"),
        ("method.theta=0", "no inverse power"),
        ("seed=-1", "whole number from 0 on"),
        ("fold=S99", "did you mean S0"),
        ("fold=11", "an index below 11"),
        ("reuse=all", "use any"),
        ("method=", "cannot read|unknown"),
        ("=3", "cannot read"),
        ("~data", "cannot read"),
        ("data=null", "data=null is unknown"),
        ("trainer=null", "trainer=null is unknown"),
        ("method.name=other", "part of a row's identity"),
        ("data.at=3", "part of a row's identity"),
        ("data.twin=3", "takes fields"),
        ("method.theta=nan", "must be a finite number"),
        ("deadline=abc", "number of seconds"),
        ("trainer.threads=two", "whole number from 1"),
        ("trainer.accelerator=quantum", "use cpu, gpu or auto"),
        ("logger.kind=cvs", "did you mean csv"),
        ("+trainer.thread=1", "did you mean threads"),
        ("data.source=reel", "did you mean real"),
    ],
)
def test_mistakes_get_one_sentence_with_the_remedy(word, sentence):
    with pytest.raises(BenchError, match=sentence) as error:
        plan.expand([word, "fold=0"] if not word.startswith("fold") else [word])
    assert "\n" not in str(error.value)


def test_mistakes_die_before_torch_with_exit_code_2():
    check = (
        "import sys\nfrom bench.cli import main\ntry:\n    code = main(sys.argv[1:])\nexcept SystemExit as stop:\n    code = stop.code\n"
        "print(code, 'torch' in sys.modules, 'mne' in sys.modules)"
    )
    for word in ("method.thetta=1", "method.epochs=many", "fold=S99"):
        done = command("-c", check, "run", word)
        assert done.stdout.split() == ["2", "False", "False"], done.stdout + done.stderr
        assert done.stderr.startswith("error: ") and "Traceback" not in done.stderr


def test_missing_real_data_says_where_and_how(tmp_path):
    with pytest.raises(BenchError, match=rf"{tmp_path}.*bench prepare data=bci"):
        plan.expand(["data.source=real", f"root={tmp_path}"])


def test_absent_data_under_auto_are_a_loud_stand_in(tmp_path):
    cell = plan.expand([f"root={tmp_path}", "fold=0"])[0]
    assert cell.source == "synthetic" and cell.note.startswith("SYNTHETIC STAND-IN")


def test_a_pair_that_does_not_fit_names_what_fits(tmp_path, monkeypatch):
    package = write_plugin(tmp_path, monkeypatch)
    with pytest.raises(BenchError, match=r"takes points, and bci is eeg_trials; what fits: .*cloud"):
        plan.expand(["method=mean", "data=bci", "data.source=synthetic", "fold=0"])
    grid = plan.expand(["method=mean,mdm", "data=bci", "data.source=synthetic", "fold=0"])
    assert [bool(c.skip) for c in grid] == [True, False] and package


# ---------------------------------------------------------------------------------------------- no code from configs


def test_a_config_cannot_name_code(tmp_path, monkeypatch):
    write_plugin(tmp_path, monkeypatch)
    (tmp_path / "otherlab" / "conf" / "method" / "evil.yaml").write_text(
        "name: evil\nuse: mean\n_target_: os.system\nplugin: os:system\n"
    )
    registry.options.cache_clear()
    with pytest.raises(BenchError, match=r"_target_ is no field"):
        plan.expand(["method=evil", "data=cloud"])


def test_an_experiment_cannot_name_plugins(tmp_path, monkeypatch):
    write_plugin(tmp_path, monkeypatch)
    folder = tmp_path / "otherlab" / "conf" / "experiment"
    folder.mkdir()
    (folder / "evil.yaml").write_text(
        "# @package experiment\ncells:\n  - {method: mean, data: cloud, plugins: [evil]}\n"
    )
    registry.options.cache_clear()
    with pytest.raises(BenchError, match="plugins come from the command line"):
        plan.expand(["experiment=evil"])


@pytest.mark.parametrize(
    ("group", "text", "sentence"),
    [
        (
            "experiment",
            "# @package _global_\nhydra: {callbacks: {x: {_target_: shutil.copyfile}}}\n",
            "fills only that group",
        ),
        ("experiment", "# @package experiment\ncells: []\nhydra: {}\n", "may not set hydra"),
        ("experiment", "# @package experiment\ncells: []\nscale: smoke\n", "scale is no key of a experiment"),
        ("method", "#\t@package _global_\nname: evil\n", "remove its @package line"),
        ("trainer", "defaults: ['csv@_global_.hydra.launcher']\n", "is not allowed"),
        ("experiment", "title: x\ncells: []\n", "its first line must be"),
        ("method", "# @package _global_\nhydra: {}\n", "remove its @package line"),
        ("method", "defaults:\n  - /hydra/launcher: joblib\nname: evil\n", "is not allowed"),
        ("trainer", "defaults: ['override /hydra/launcher: joblib']\n", "is not allowed"),
    ],
)
def test_no_group_reaches_beyond_itself(tmp_path, monkeypatch, group, text, sentence):
    write_plugin(tmp_path, monkeypatch)
    folder = tmp_path / "otherlab" / "conf" / group
    folder.mkdir(exist_ok=True)
    (folder / "evil.yaml").write_text(text)
    registry.options.cache_clear()
    with pytest.raises(BenchError, match=sentence):
        plan.expand([f"{group}=evil", "data=cloud"])


def test_paths_with_special_characters_survive(tmp_path):
    from bench.words import absolute, results_folder

    odd = tmp_path / "a, b (1) [c] 'd'"
    assert results_folder([f'out="{odd}"']) == odd
    assert plan.expand([*absolute([f'out="{odd}"']), "fold=0", *SMOKE])[0].settings["out"] == str(odd)


def test_real_is_never_silently_something_else():
    with pytest.raises(BenchError, match="no real data behind eeg_twin"):
        plan.expand(["data=eeg_twin", "data.source=real"])


def test_an_unwritable_data_root_under_auto_is_a_stand_in():
    cell = plan.expand(["root=/proc/nothing", "fold=0"], download=True)[0]
    assert cell.source == "synthetic" and "could not be fetched" in cell.note


def test_a_suite_that_names_a_missing_experiment(tmp_path, monkeypatch):
    write_plugin(tmp_path, monkeypatch)
    folder = tmp_path / "otherlab" / "conf" / "suite"
    folder.mkdir()
    (folder / "torn.yaml").write_text("# @package suite\nexperiments: [gbw_rbn/mamen]\n")
    registry.options.cache_clear()
    with pytest.raises(BenchError, match=r"suite torn names the experiment gbw_rbn/mamen.*did you mean gbw_rbn/mamem"):
        plan.expand(["suite=torn"])


def test_no_yaml_of_ours_names_code():
    for path in (ROOT / "conf").rglob("*.yaml"):
        assert "_target_" not in path.read_text(), path


def test_every_option_is_named_as_its_file():
    for group in ("method", "data"):
        for name in registry.options(group):
            assert choices.raw(group, name)["name"] == name


def test_every_experiment_and_suite_composes():
    for name in registry.options("experiment"):
        assert plan.expand([f"experiment={name}", "data.source=synthetic"], strict=False)
        assert yaml.safe_load((registry.options("experiment")[name]).read_text())["title"]
    for name in registry.options("suite"):
        assert plan.expand([f"suite={name}", "data.source=synthetic"], strict=False)


def test_values_by_scale_fill_what_nobody_set():
    """Under `at` a value beats the default of the dataclass, whatever it is; a file or a command beats both."""
    trials = [
        plan.expand(["method=acm", "data=ar_sources", f"scale={scale}", *more])[0].data.trials
        for scale, more in (("smoke", []), ("reduced", []), ("smoke", ["data.trials=60"]))
    ]
    assert trials == [30, 60, 60]


# ---------------------------------------------------------------------------------------------- other people's plugins


def write_plugin(folder: Path, monkeypatch) -> str:
    """A package `otherlab` with a method `mean` for point data `cloud`, laid out as this project is."""
    base = folder / "otherlab"
    for sub in ("models/mean", "datasets/cloud", "conf/method", "conf/data"):
        (base / sub).mkdir(parents=True)
    for sub in ("", "models", "models/mean", "datasets", "datasets/cloud"):
        (base / sub / "__init__.py").write_text("")
    (base / "models/mean/config.py").write_text(
        "from dataclasses import dataclass\nfrom typing import ClassVar\nfrom bench.schema import MethodConfig\n"
        "@dataclass\nclass Config(MethodConfig):\n    plugin: ClassVar[str] = 'otherlab.models.mean.plugin:Mean'\n"
        "    accepts: ClassVar[tuple[str, ...]] = ('points',)\n"
    )
    (base / "models/mean/plugin.py").write_text(
        "import numpy as np\nfrom bench.schema import Result, SolverMethod\nclass Mean(SolverMethod):\n"
        "    def fit(self, bundle, ctx):\n"
        "        self.c = np.stack([bundle.train.x[bundle.train.y == k].mean(0) for k in range(bundle.n_out)])\n"
        "    def evaluate(self, bundle, ctx):\n"
        "        return Result(predictions={'y_score': -((bundle.test.x[:, None] - self.c) ** 2).sum(-1)})\n"
    )
    (base / "datasets/cloud/config.py").write_text(
        "from dataclasses import dataclass\nfrom typing import ClassVar\nfrom bench.schema import DataConfig\n"
        "@dataclass\nclass Config(DataConfig):\n    adapter: ClassVar[str] = 'otherlab.datasets.cloud.adapter:load'\n"
        "    kind: ClassVar[str] = 'points'\n    sources: ClassVar[tuple[str, ...]] = ('simulated',)\n"
    )
    (base / "datasets/cloud/adapter.py").write_text(
        "import numpy as np\nfrom bench.schema import Arrays, Bundle, fingerprint\n"
        "def load(config, *, fold, source, root, cache):\n    rng = np.random.default_rng(0)\n    y = np.arange(60) % 3\n"
        "    x = rng.normal(size=(60, 2)) + 4 * np.eye(3)[y][:, :2]\n"
        "    return Bundle('points', Arrays(x[:30], y[:30]), None, Arrays(x[30:], y[30:]), 3, (2,), fold, 'simulated', fingerprint(x, y))\n"
    )
    (base / "conf/method/mean.yaml").write_text("defaults:\n  - override /data@_global_.data: cloud\nname: mean\n")
    (base / "conf/data/cloud.yaml").write_text("name: cloud\n")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("BENCH_PLUGINS", "otherlab")
    for name in [m for m in sys.modules if m.startswith("otherlab")]:
        del sys.modules[name]
    monkeypatch.setattr(registry, "_packages", [])
    registry.use_plugins(["otherlab"])
    return "otherlab"


@pytest.fixture(autouse=True)
def _forget_plugins():
    yield
    registry._packages.clear()
    registry.options.cache_clear()
    registry.config_class.cache_clear()
    plan._compose.cache_clear()


def test_a_plugin_of_another_package_runs(tmp_path, monkeypatch, bench):
    write_plugin(tmp_path, monkeypatch)
    code, out, err = bench("plan", "plugins=[otherlab]", "method=mean", f"out={tmp_path}/out")
    assert code == 0 and "mean" in out and "1 to run" in out, err
    done = command(
        "plugins=[otherlab]",
        "method=mean",
        f"out={tmp_path}/out",
        env={"PYTHONPATH": str(tmp_path), "BENCH_PLUGINS": ""},
    )
    assert done.returncode == 0 and "accuracy" in done.stdout, done.stdout + done.stderr
    done = command("plugins=[nosuchlab]", "method=mean")
    assert done.returncode == 2 and "no package 'nosuchlab'" in done.stderr


if __name__ == "__main__":
    (ROOT / "tests" / "keys.json").write_text(json.dumps(experiment_keys(), indent=1, sort_keys=True) + "\n")
