"""The commit that a git clone is at, read from its files: git itself may not be installed."""

from pathlib import Path


def commit_of(folder: Path) -> str | None:
    """Hexadecimal digits; None where the folder is no clone, or one of a kind that is not understood."""
    git = folder / ".git"
    try:
        head = (git / "HEAD").read_text(encoding="ascii").strip()
        if not head.startswith("ref: "):
            return head
        branch = head.removeprefix("ref: ")
        if (git / branch).is_file():
            return (git / branch).read_text(encoding="ascii").strip()
        packed = (git / "packed-refs").read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    found = (line.split()[0] for line in packed if line.endswith(f" {branch}"))
    return next(found, None)
