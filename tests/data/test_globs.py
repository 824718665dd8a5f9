from __future__ import annotations

import pytest

from loresmith.data.globs import glob_regex


@pytest.mark.parametrize(
    ("pattern", "matching", "other"),
    [
        ("**", ["a", "a/b/c", "a/"], []),
        ("*.md", ["x.md", "a/b/x.md", "x.md/inside"], ["x.mdx", "md"]),
        ("tests", ["tests", "tests/", "a/tests/b/c"], ["mytests", "tests2/x"]),
        ("build/", ["build/", "build/x", "a/build/x/y"], ["build"]),
        ("docs/*.md", ["docs/x.md"], ["docs/a/x.md", "a/docs/x.md"]),
        ("docs/**", ["docs/x", "docs/a/b", "docs/"], ["docs", "a/docs/x"]),
        ("**/docs", ["docs", "a/b/docs", "a/docs/x"], ["adocs"]),
        ("a/**/z", ["a/z", "a/b/z", "a/b/c/z"], ["az", "b/a/z"]),
        ("/setup.py", ["setup.py"], ["a/setup.py"]),
        ("file?.[ch]", ["file1.c", "d/fileX.h"], ["file.c", "file12.c", "file1.o"]),
        ("[!a-c]*", ["d", "zebra"], ["a", "b/"]),
        ("a[]]b", ["a]b"], ["ab"]),
        ("a[b", ["a[b"], ["ab"]),
        ("1+1 (copy).txt", ["1+1 (copy).txt"], ["11 copy.txt"]),
        ("line*", ["line\nbreak", "line\udcff"], []),
    ],
)
def test_patterns_mean_what_gitignore_means(pattern: str, matching: list[str], other: list[str]) -> None:
    regex = glob_regex([pattern])
    assert [path for path in matching if not regex.fullmatch(path)] == []
    assert [path for path in other if regex.fullmatch(path)] == []


def test_several_patterns_match_what_any_of_them_matches_and_none_match_nothing() -> None:
    both = glob_regex(["*.md", "docs"])
    assert both.fullmatch("a.md")
    assert both.fullmatch("docs/x")
    assert not both.fullmatch("b.txt")
    assert not glob_regex([]).fullmatch("")


@pytest.mark.parametrize("pattern", ["", "/", "[z-a]"])
def test_patterns_without_meaning_are_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="the pattern"):
        glob_regex([pattern])
