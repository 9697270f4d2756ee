"""What the paper says of the repository is so, and what one needs to cite it is in order."""

import re
from pathlib import Path

import nbformat
import pytest
import yaml

import bsr

ROOT = Path(__file__).parents[1]
BLANK = "TO BE FILLED"
_, HEADER, PAPER = (ROOT / "paper" / "paper.md").read_text(encoding="utf-8").split("---\n", 2)
BIBLIOGRAPHY = (ROOT / "paper" / "paper.bib").read_text(encoding="utf-8")
NUMBERS = {"two": 2, "five": 5, "twenty-one": 21, "forty": 40, "800": 800}


def entries(text):
    """The fields of each entry of a bibliography, by its key."""
    parts = re.split(r"^@\w+\{", text, flags=re.MULTILINE)[1:]
    fields = re.compile(r"^\s*(\w+)\s*=\s*\{(.*)\},?$", re.MULTILINE)
    return {part.partition(",")[0]: dict(fields.findall(part)) for part in parts}


def test_the_front_matter_has_what_the_journal_asks_for():
    header = yaml.safe_load(HEADER)
    assert {"title", "tags", "authors", "affiliations", "date", "bibliography"} <= set(header)
    assert (ROOT / "paper" / header["bibliography"]).is_file()
    indices = {str(place["index"]) for place in header["affiliations"]}
    for author in header["authors"]:
        assert set(re.findall(r"\d+", str(author["affiliation"]))) <= indices
        assert re.fullmatch(r"\d{4}-\d{4}-\d{4}-\d{3}[\dX]", author["orcid"])


def test_only_names_thanks_and_identifiers_are_left_blank():
    blanks = [line for line in HEADER.splitlines() if BLANK in line]
    assert all(re.match(r"(date| +orcid| +- name):", line) for line in blanks)
    (thanks,) = [line for line in PAPER.splitlines() if BLANK in line]
    assert f"{BLANK} (funding" in thanks
    assert [key for key, fields in entries(BIBLIOGRAPHY).items() if BLANK in fields.get("note", "")] == [
        "bsr2026archive"
    ]
    assert BIBLIOGRAPHY.count(BLANK) == 1


def test_sections_and_length_are_those_of_such_papers():
    sections = re.findall(r"^# (.*)$", PAPER, re.MULTILINE)
    assert sections[:3] == ["Summary", "Statement of need", "Learning objectives"]
    assert sections[-2:] == ["Acknowledgements", "References"]
    assert 800 <= len(PAPER.split()) <= 1100


def test_citations_are_in_the_bibliography_and_agree_with_the_books():
    ours, books = entries(BIBLIOGRAPHY), entries((ROOT / "book" / "references.bib").read_text(encoding="utf-8"))
    assert set(re.findall(r"@(\w+)", PAPER)) == set(ours)
    for key in set(ours) & set(books):
        for field in set(ours[key]) & set(books[key]):
            assert ours[key][field].lower() == books[key][field].lower(), (key, field)
    for key, fields in ours.items():
        assert {"author", "title", "year"} <= set(fields), key
        assert "doi" in fields or "url" in fields or BLANK in fields["note"], key


def test_files_that_are_named_exist():
    named = [name for name in re.findall(r"`([^`]*)`", PAPER) if name != "bsr"]
    assert "book/course.md" in named
    for name in named:
        assert (ROOT / name).exists(), name


def test_counts_are_those_of_the_book():
    parts = yaml.safe_load((ROOT / "_toc.yml").read_text())["parts"]
    numbered = [part for part in parts if part.get("numbered")]
    chapters, in_parts = re.search(r"book of ([\w-]+) chapters in (\w+) parts", PAPER).groups()
    assert (NUMBERS[chapters], NUMBERS[in_parts]) == (sum(len(part["chapters"]) for part in numbered), len(numbered))
    (in_changelog,) = re.findall(r"A book in ([\w-]+) chapters", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"))
    assert in_changelog == chapters
    assert set(re.findall(r"Part ([IV]+) ", PAPER)) == {part["caption"].split()[0] for part in numbered}

    exercises, asserted = 0, 0
    for path in (ROOT / "book").glob("*.ipynb"):
        cells = nbformat.read(path, as_version=4).cells
        solving, executed = False, True
        for cell in cells:
            if cell.cell_type == "code":
                asserted += len(re.findall(r"^\s*assert ", cell.source, re.MULTILINE))
                executed = True
            elif "{solution-start}" in cell.source:
                exercises, solving, executed = exercises + 1, True, False
            elif solving and "{solution-end}" in cell.source:
                assert executed, f"{path.name}: a solution without code"
                solving = False
    more_than = re.search(r"more than (\w+) exercises.*more than (\w+) assertions", PAPER, re.DOTALL).groups()
    assert NUMBERS[more_than[0]] < exercises < 1.5 * NUMBERS[more_than[0]]
    assert NUMBERS[more_than[1]] < asserted < 1.5 * NUMBERS[more_than[1]]

    course = (ROOT / "book" / "course.md").read_text(encoding="utf-8")
    assert (
        len(re.findall("^## Lecture ", course, re.MULTILINE))
        == NUMBERS[re.search(r"plan for (\w+) lectures", PAPER)[1]]
    )
    assert "has not been tried in a classroom" in course
    assert "has not been used in a classroom" in PAPER


def test_the_citation_file_cites_this_version_the_book_and_the_paper():
    cff = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert cff["version"] == bsr.__version__
    assert cff["license"] == "BSD-3-Clause"
    assert [reference["type"] for reference in cff["references"]] == ["book"]
    paper, ours = cff["preferred-citation"], entries(BIBLIOGRAPHY)["erba2025bilinear"]
    assert (paper["title"], str(paper["volume"]), str(paper["year"])) == (ours["title"], ours["volume"], ours["year"])
    assert paper["doi"] == ours["doi"]
    assert [author["family-names"] for author in paper["authors"]][:2] == ["Erba", "Troiani"]


@pytest.mark.skipif(not (ROOT / ".github").exists(), reason="not in the published archive")
def test_there_is_a_way_to_ask_to_report_and_to_contribute():
    contributing = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for name in re.findall(r"\(((?:\.github/)?[\w/-]+\.md)\)", contributing):
        assert (ROOT / name).is_file(), name
    assert "CODE_OF_CONDUCT.md" in contributing
    for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.md"):
        header = yaml.safe_load(path.read_text(encoding="utf-8").split("---\n", 2)[1])
        assert {"name", "about"} <= set(header), path.name
