"""Folders and repositories of the Hub: what is written, read, uploaded, and said without it."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tiny_networks import TINY
from tiny_training import same_bits

from fafnet_core import FAFNet, FAFNetConfig, build_model, load_checkpoint
from fafnet_core.checkpoints.checkpoint import read_metadata
from fafnet_core.checkpoints.hub import load_pretrained, push_to_hub, save_pretrained
from fafnet_core.checkpoints.location import resolve
from fafnet_core.inference import Segmenter
from fafnet_core.labels import NYU40, SUN37
from fafnet_core.normalisation import Normalisation

CONFIG = replace(TINY, num_classes=37)
FILES = {"README.md", "config.json", "model.safetensors"}
NORMALISATION = Normalisation(hha_mean=(0.5, 0.25, 0.125))


@pytest.fixture(scope="module")
def model() -> FAFNet:
    torch.manual_seed(3)
    return build_model(CONFIG).eval()


@pytest.fixture
def folder(model: FAFNet, tmp_path: Path) -> Path:
    notes = {"mean_iou": 0.5, "trained on": "a|b"}
    save_pretrained(
        model,
        tmp_path / "net",
        label_set=SUN37,
        normalisation=NORMALISATION,
        notes=notes,
        input_size=(48, 64),
    )
    return tmp_path / "net"


def same(one: FAFNet, other: FAFNet) -> bool:
    return same_bits(one.state_dict(), other.state_dict())


def test_a_folder_brings_everything_back(model: FAFNet, folder: Path) -> None:
    assert {path.name for path in folder.iterdir()} == FILES
    loaded = load_pretrained(folder)
    assert loaded.config == CONFIG
    assert same(loaded, model)
    assert not loaded.training
    metadata = read_metadata(folder / "model.safetensors")
    assert (metadata.label_set, metadata.normalisation) == (SUN37, NORMALISATION)
    assert metadata.input_size == (48, 64)
    content = json.loads((folder / "config.json").read_text())["fafnet"]
    assert FAFNetConfig.from_dict(content["config"]) == CONFIG
    assert content["notes"]["mean_iou"] == 0.5
    assert content["input_size"] == [48, 64]


def test_the_card_says_what_it_is(folder: Path) -> None:
    library = pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed")
    card = library.ModelCard.load(folder / "README.md")
    assert card.data.library_name == "fafnet_ros"
    assert card.data.pipeline_tag == "image-segmentation"
    for said in (
        "colour first, then HHA",
        "label set `sun37`",
        "| 36 | bag |",
        "| hha | 0.5, 0.25, 0.125 | 0.229, 0.224, 0.225 |",
        "| width_multiplier | 0.125 |",
        "| trained on | a/b |",
        "Trained at 64x48 (width x height)",
    ):
        assert said in card.text


def test_notes_do_not_break_the_cards_tables(model: FAFNet, tmp_path: Path) -> None:
    save_pretrained(model, tmp_path, label_set=SUN37, notes={"a\nb": "one\r\n\n## two|"})
    assert "| a b | one  ## two/ |\n" in (tmp_path / "README.md").read_text()


def test_saving_again_keeps_an_edited_card(model: FAFNet, folder: Path) -> None:
    (folder / "README.md").write_text("mine")
    save_pretrained(model, folder, label_set=SUN37)
    assert (folder / "README.md").read_text() == "mine"
    assert read_metadata(folder / "model.safetensors").normalisation == Normalisation()


def test_a_label_set_of_another_size_writes_nothing(model: FAFNet, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nyu40"):
        save_pretrained(model, tmp_path / "net", label_set=NYU40)
    assert not (tmp_path / "net").exists()


@pytest.mark.parametrize("has_card", [False, True])
def test_what_would_be_uploaded(
    model: FAFNet, has_card: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed")

    class Api:
        def create_repo(self, repo_id: str, private: bool | None, exist_ok: bool) -> Any:
            assert (repo_id, private, exist_ok) == ("me/net", True, True)
            return SimpleNamespace(repo_id=repo_id)

        def file_exists(self, *asked: str, revision: str | None) -> bool:
            assert (*asked, revision) == ("me/net", "README.md", "next")
            return has_card

        def upload_folder(self, *, folder_path: str, **told: Any) -> str:
            folder = Path(folder_path)
            assert {path.name for path in folder.iterdir()} == FILES
            assert same(load_checkpoint(folder / "model.safetensors"), model)
            assert (told["repo_id"], told["revision"]) == ("me/net", "next")
            assert told["ignore_patterns"] == (["README.md"] if has_card else None)
            return "hub/commit/1"

    monkeypatch.setattr("huggingface_hub.HfApi", Api)
    address = push_to_hub(model, "me/net", label_set=SUN37, private=True, branch="next")
    assert address == "hub/commit/1"


def test_uploading_without_a_network(model: FAFNet, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed")

    class UnreachableError(Exception):
        """As that of httpx, which is no OSError."""

    def unreachable(**_: Any) -> Any:
        raise UnreachableError("no such host\n\nsee the manual")

    monkeypatch.setattr("huggingface_hub.HfApi.create_repo", lambda _, **kw: unreachable(**kw))
    with pytest.raises(OSError, match="no such host see the manual"):
        push_to_hub(model, "me/net", label_set=SUN37)


@pytest.fixture
def repository(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """A Hub of one repository, me/net, that is `folder`; returns what is asked of it."""
    pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed")
    from huggingface_hub.utils import EntryNotFoundError, LocalEntryNotFoundError

    asked: list[tuple[Any, ...]] = []

    def download(repo_id: str, filename: str, revision: str | None = None) -> str:
        asked.append((repo_id, filename, revision))
        if repo_id == "far/away":
            logging.getLogger("huggingface_hub.utils._http").warning("Retrying in 1s")
            raise LocalEntryNotFoundError("check your connection")
        if repo_id != "me/net":
            raise OSError("401 Client Error\n\nno such repository")
        if not (folder / filename).is_file():
            raise EntryNotFoundError(f"404 Client Error\n\n{filename} is not there")
        return str(folder / filename)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    return asked


@pytest.mark.parametrize("name", ["me/net", "hf://me/net@v1", Path("hf://me/net@v1")])
def test_a_repository(model: FAFNet, repository: list[Any], name: str | Path) -> None:
    assert same(load_pretrained(name), model)
    revision = "v1" if "@" in str(name) else None
    assert repository == [("me/net", "model.safetensors", revision)]


def test_a_scheme_is_never_a_folder(
    model: FAFNet, repository: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("me/net").mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match="me/net"):
        load_pretrained("me/net")
    with pytest.raises(FileNotFoundError, match=r"no folder none.*owner/name"):
        load_pretrained("none")
    assert not repository
    assert same(load_pretrained("hf://me/net@v1"), model)


@pytest.mark.parametrize("content", [None, "{", "[]", '{"model": {}, "device": "cuda"}'])
def test_the_configuration_beside_the_checkpoint_is_not_needed(
    model: FAFNet, folder: Path, content: str | None
) -> None:
    (folder / "config.json").unlink()
    if content is not None:
        (folder / "config.json").write_text(content)
    assert same(load_pretrained(folder), model)


def test_without_a_network(repository: list[Any], caplog: pytest.LogCaptureFixture) -> None:
    level = logging.getLogger("huggingface_hub").level
    for ask in (resolve, load_pretrained):
        with pytest.raises(OSError, match="cannot be reached"):
            ask("hf://far/away")
    assert not caplog.records
    assert logging.getLogger("huggingface_hub").level == level


def test_resolving(folder: Path, repository: list[Any], tmp_path: Path) -> None:
    checkpoint = folder / "model.safetensors"
    for source in (checkpoint, folder, str(folder), "hf://me/net", "hf-hub:me/net"):
        assert resolve(source) == checkpoint
    assert resolve("hf://me/net", ("none.bin", "config.json")) == folder / "config.json"
    assert resolve(tmp_path / "none") == tmp_path / "none"
    with pytest.raises(FileNotFoundError, match="no a or b"):
        resolve("hf://me/net", ("a", "b"))
    with pytest.raises(OSError, match="hf://you/net"):
        resolve("hf://you/net")


def test_a_segmenter_of_a_folder_or_a_repository(folder: Path, repository: list[Any]) -> None:
    for source in (folder, "hf://me/net"):
        segmenter = Segmenter.from_checkpoint(source, device="cpu")
        assert segmenter.label_set == SUN37
        assert segmenter.input_size == (48, 64)
    assert repository == [("me/net", "model.safetensors", None)]


@pytest.mark.parametrize("name", ["hf://", "hf://net", "hf://a/b/c", "hf-hub:net"])
def test_names_that_are_no_repository(name: str) -> None:
    with pytest.raises(ValueError, match="hf://owner/name"):
        resolve(name)


def test_without_the_library(
    model: FAFNet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    save_pretrained(model, tmp_path, label_set=SUN37)
    assert Segmenter.from_checkpoint(tmp_path, device="cpu").label_set == SUN37
    assert same(load_pretrained(tmp_path), model)
    with pytest.raises(ValueError, match="pip install"):
        load_pretrained("me/net")
    with pytest.raises(ValueError, match="pip install"):
        push_to_hub(model, "me/net", label_set=SUN37)
    with pytest.raises(ValueError, match="pip install"):
        resolve("hf://me/net")


def test_the_optional_libraries_are_not_imported_by_the_way() -> None:
    code = (
        "import sys, fafnet_core.checkpoints.pretrained, fafnet_core.inference;"
        "print([name for name in ('huggingface_hub', 'timm') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
