"""Names on the Hugging Face hub with a revision: `owner/name@revision`, a branch, a tag or a commit."""


def split_revision(name: str) -> tuple[str, str | None]:
    """The repository's name, and its revision where one is given.

    Raises:
        ValueError: nothing on one side of the `@`.
    """
    repository, at, revision = name.partition("@")
    if at and not (repository and revision):
        raise ValueError(f"{name}: write a revision as owner/name@revision")
    return repository, revision or None
