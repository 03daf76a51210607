"""The hub replaced by a folder: its listing and its download, nothing else."""

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest
from huggingface_hub.errors import RevisionNotFoundError
from huggingface_hub.utils import httpx

Branches = Mapping[str | None, Mapping[str, bytes]]


class FakeHub:
    """One dataset: branches (None is the default) with the content of their files.

    A branch's commit is `at-BRANCH`.
    """

    def __init__(self, repository: str, folder: Path, branches: Branches) -> None:
        self.repository = repository
        self.folder = folder
        self.commits = {f"at-{branch}": files for branch, files in branches.items()}
        self.fetched: list[str] = []

    def dataset_info(self, repo_id: str, *, revision: str | None = None) -> SimpleNamespace:
        if repo_id != self.repository:
            raise httpx.ConnectError("no route to the hub")
        if f"at-{revision}" not in self.commits:
            raise RevisionNotFoundError.__new__(RevisionNotFoundError)
        return SimpleNamespace(sha=f"at-{revision}")

    def list_repo_files(self, repo_id: str, *, repo_type: str, revision: str) -> list[str]:
        assert (repo_id, repo_type) == (self.repository, "dataset")
        return list(self.commits[revision])

    def download(self, repo_id: str, file: str, *, repo_type: str, revision: str) -> str:
        assert (repo_id, repo_type) == (self.repository, "dataset")
        target = self.folder / revision.replace("/", "_") / file
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(self.commits[revision][file])
        self.fetched.append(file)
        return str(target)

    def replace_hub(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """What huggingface_hub would do is done here."""
        for name in ("dataset_info", "list_repo_files"):
            ask = getattr(self, name)
            monkeypatch.setattr(
                huggingface_hub.HfApi, name, lambda _, repo, ask=ask, **options: ask(repo, **options)
            )
        monkeypatch.setattr(huggingface_hub, "hf_hub_download", self.download)
