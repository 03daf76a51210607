from pathlib import Path

from py_worker.data.importers.clone import commit_of

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def git(root: Path, **files: str) -> Path:
    (root / ".git").mkdir(parents=True)
    for name, text in files.items():
        (root / ".git" / name).write_text(text)
    return root


def test_the_commit_of_a_branch(tmp_path: Path) -> None:
    clone = git(tmp_path, HEAD="ref: refs/heads/main\n")
    assert commit_of(clone) is None
    (clone / ".git" / "packed-refs").write_text(
        f"# pack-refs with: peeled\n{'f' * 40} refs/heads/other\n{COMMIT} refs/heads/main\n"
    )
    assert commit_of(clone) == COMMIT
    (clone / ".git" / "refs" / "heads").mkdir(parents=True)
    (clone / ".git" / "refs" / "heads" / "main").write_text(f"{'a' * 40}\n")
    assert commit_of(clone) == "a" * 40


def test_a_commit_that_is_checked_out_by_itself(tmp_path: Path) -> None:
    assert commit_of(git(tmp_path, HEAD=f"{COMMIT}\n")) == COMMIT


def test_no_clone(tmp_path: Path) -> None:
    assert commit_of(tmp_path) is None
