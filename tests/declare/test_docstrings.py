"""What is read from docstrings, and what stays prose."""

from __future__ import annotations

import inspect
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from featurestore.declare.docstrings import Documentation, Texts, parse, tags_of

GOOGLE = """Favourites of a user
    up to an instant.

    Counts what the user marked,
    whatever the application.

    Args:
        when (datetime, optional): the instant; what is later
            is not counted
        app_name (dict[str, tuple()]): the application
        *rest: more

    Returns:
        pl.DataFrame: one row per user

    Raises:
        ValueError: no such application
        OSError: no file

    Maintainer: Ana <ana@x.org>
    Status: stable
    Tags: events, per user

    Example:
        >>> n_favorites()
        3
    """

NUMPY = """Favourites of a user.

    More about it.

    Parameters
    ----------
    when : datetime, optional
        The instant.

        Later events do not count.
    app_name, other
        The applications.

    Returns
    -------
    frame : pl.DataFrame
        One row per user.

    Raises
    ------
    ValueError
        No such application.

    Status
    ------
    stable

    Examples
    --------
    >>> n_favorites()
    Maintainer: nobody

    Maintainer: Ana
    Team: growth
    """

REST = """Favourites of a user.

    :param when: the instant,
        in UTC
    :param str app_name: the application
    :type when: datetime
    :returns: one row per user
    :rtype: pl.DataFrame
    :raises ValueError: no such application
    :maintainer: Ana <ana@x.org>
    :status: stable
    """


def test_google_sections_are_read() -> None:
    read = parse(GOOGLE)
    assert read.summary == "Favourites of a user up to an instant."
    assert read.description == "Counts what the user marked,\nwhatever the application."
    assert read.params == {
        "when": "the instant; what is later\nis not counted",
        "app_name": "the application",
        "rest": "more",
    }
    assert read.returns == "one row per user"
    assert read.raises == {"ValueError": "no such application", "OSError": "no file"}
    assert read.sections == {"Maintainer": "Ana <ana@x.org>", "Status": "stable", "Tags": "events, per user"}
    assert read.examples == ">>> n_favorites()\n3"


def test_numpy_sections_are_read() -> None:
    read = parse(NUMPY)
    assert (read.summary, read.description) == ("Favourites of a user.", "More about it.")
    assert read.params["when"] == "The instant.\n\nLater events do not count."
    assert read.params["app_name"] == read.params["other"] == "The applications."
    assert read.returns == "One row per user."
    assert read.raises == {"ValueError": "No such application."}
    assert read.sections == {"Status": "stable", "Maintainer": "Ana", "Team": "growth"}
    assert read.examples == ">>> n_favorites()\nMaintainer: nobody"


def test_rest_fields_are_read() -> None:
    read = parse(REST)
    assert (read.summary, read.description) == ("Favourites of a user.", "")
    assert read.params == {"when": "the instant,\nin UTC", "app_name": "the application"}
    assert read.returns == "one row per user"
    assert read.raises == {"ValueError": "no such application"}
    assert read.sections == {"maintainer": "Ana <ana@x.org>", "status": "stable"}


def test_nothing_is_read_from_no_docstring() -> None:
    assert parse(None) == parse("") == parse(" \n\t\n") == Documentation()


def test_a_numpy_parameter_named_as_a_section_stays_a_parameter() -> None:
    read = parse("One.\n\nParameters\n----------\nowner : str\n    Who.\n\nstatus: str\n    Which.")
    assert read.params == {"owner": "Who.", "status": "Which."}
    assert not read.sections


@pytest.mark.parametrize("text", ["Args:\n    *, x: y", "Parameters\n===\n*\nx\n    y", ":param *:\n:param x: y"])
def test_a_star_alone_is_no_parameter(text: str) -> None:
    assert parse(f"One.\n\n{text}").params == {"x": "y"}


def test_numpy_returns_without_text_below_is_kept_whole() -> None:
    assert parse("One.\n\nReturns\n-------\nthe frame").returns == "the frame"


@pytest.mark.parametrize(
    "text",
    [
        "Maintainer: Ana <ana@x.org>",
        "Count.\n\nMaintainer: Ana <ana@x.org>",
        "Count.\nMaintainer: Ana <ana@x.org>",
        "Count\nReviewer: Bo\nMaintainer: Ana <ana@x.org>",
        "Count.\n\nMaintainer:\n    Ana <ana@x.org>",
        "Count.\n\nMaintainer:\n\n    Ana <ana@x.org>\n\nMore prose.",
        "Count.\n\nMaintainer:\nAna <ana@x.org>\n\nMore prose.",
        "Count.\n\nMaintainer\n----------\nAna <ana@x.org>",
        "Count.\n\n:maintainer: Ana <ana@x.org>",
        "Count.\n:Maintainer: Ana <ana@x.org>\n\nMore.",
        "Count.\r\n\r\nMaintainer: Ana <ana@x.org>\r\n",
        "Count.\n\nArgs:\n    x: y\nMaintainer: Ana <ana@x.org>",
    ],
)
def test_a_maintainer_is_found_however_it_is_written(text: str) -> None:
    assert parse(text).section("MAINTAINER") == "Ana <ana@x.org>"


@pytest.mark.parametrize(
    "prose",
    [
        "Note that: it is slow.",
        "We count all.\nRemember: the table is large.\nSo it takes long.",
        "We count all.\nRemember: the table is large.",
        "Remember: the table is large,\nso it takes long.",
        "See\nhttp://x.org/a: it is there.",
        "http://x.org",
        "Http://x.org",
        "10:30 is the time of the run.",
        "The run is at\n10:30: not earlier.",
        "Status:none was written with a space.",
        "Status :none.",
        "status: lower case is prose.",
        "Three Words Here: is prose.",
        "Averyveryveryverylongnameofasection: is prose.",
        "```\nMaintainer: nobody\n\nStatus: none\n```",
        ">>> print(x)\nMaintainer: nobody\nx:\n    1",
        ">>> frame\nName\n-----\nStatus",
        "Literal::\n\n    Maintainer: nobody",
        "- Status: in a bullet",
        ":class:`Frame` is what comes back.",
        "A word.\n:smile: is no field.",
        "Usage:",
        "Returns:",
        "We count.\nStatus: is what we\ncall it.",
    ],
)
def test_prose_with_a_colon_stays_prose(prose: str) -> None:
    read = parse(f"Count.\n\n{prose}\n\nThe end.")
    assert read.sections == {}
    assert read.returns == ""
    assert read.description == f"{prose}\n\nThe end."


def test_the_first_line_is_the_summary_whatever_its_colon() -> None:
    read = parse("Favourites: how many a user has")
    assert (read.summary, dict(read.sections)) == ("Favourites: how many a user has", {})


def test_a_summary_is_one_line_where_that_line_ends_a_sentence() -> None:
    read = parse("One.\nTwo\nthree.")
    assert (read.summary, read.description) == ("One.", "Two\nthree.")


def test_an_underlined_first_line_is_the_summary() -> None:
    read = parse("Favourites\n==========\n\nText.")
    assert (read.summary, read.description) == ("Favourites", "Text.")


def test_a_docstring_that_starts_with_an_example_has_no_summary() -> None:
    read = parse(">>> f()\n1")
    assert (read.summary, read.description) == ("", ">>> f()\n1")


def test_a_docstring_may_start_with_its_arguments() -> None:
    read = parse("Args:\n    x: the x")
    assert (read.summary, dict(read.params)) == ("", {"x": "the x"})


def test_arguments_directly_below_prose_are_read() -> None:
    read = parse("Count.\nArgs:\n    x: the x\nMore prose.")
    assert (read.summary, dict(read.params), read.description) == ("Count.", {"x": "the x"}, "More prose.")


def test_prose_below_a_section_is_description() -> None:
    read = parse("Count.\n\nStatus: stable\n\nMore.\n\nArgs:\n    x: y\n\nLast.")
    assert read.description == "More.\n\nLast."


def test_a_well_known_section_line_continues_on_unindented_lines() -> None:
    assert parse("Count.\n\nStatus: tried, waits\nfor review").section("status") == "tried, waits\nfor review"


def test_sections_of_one_name_are_joined_under_the_first_spelling() -> None:
    assert parse("Count.\n\nOwner: Ana\n:owner: Bo").sections == {"Owner": "Ana\nBo"}


def test_free_names_of_two_capitalised_words_are_sections() -> None:
    assert parse("Count.\n\nData Owner: Ana\nReviewer: Bo").sections == {"Data Owner": "Ana", "Reviewer": "Bo"}


def test_unicode_is_kept() -> None:
    read = parse("Číslo 🚕.\n\nÚdržba: Žofie 東京\n\nArgs:\n    größe: Länge")
    assert read.summary == "Číslo 🚕."
    assert read.sections == {"Údržba": "Žofie 東京"}
    assert read.params == {"größe": "Länge"}


def test_a_missing_section_is_empty_text() -> None:
    assert parse("Count.").section("owner") == ""


def test_documentation_hashes_and_pickles() -> None:
    read = parse(GOOGLE)
    again = pickle.loads(pickle.dumps(read))
    assert again == read
    assert hash(again) == hash(read)


def test_texts_equal_by_content_and_not_by_order() -> None:
    one, other = Texts((("a", "1"), ("b", "2"))), Texts((("b", "2"), ("a", "1")))
    assert one == other == {"a": "1", "b": "2"}
    assert hash(one) == hash(other)
    with pytest.raises(KeyError):
        one["c"]


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        ("a, b c", ("a", "b c")),
        ("", ()),
        (" , ,", ()),
        ("a,a,b", ("a", "b")),
        ("- events\n- per   user\n* x-y", ("events", "per user", "x-y")),
        ("über, 東京", ("über", "東京")),
    ],
)
def test_tags_are_split_on_commas_and_lines(text: str, tags: tuple[str, ...]) -> None:
    assert tags_of(text) == tags


LINES = st.sampled_from(
    [
        *(
            "Args:",
            "Returns:",
            "Maintainer: Ana",
            "Status:",
            ":param x: y",
            ":param:",
            ":returns:",
            "Parameters",
            "---",
        ),
        *(
            "    x (int): y",
            "    z",
            "",
            "",
            ">>> f()",
            "```",
            "Some prose",
            "Note: z",
            "x : int",
            "Examples",
            "=====",
            "::",
        ),
    ]
)


@given(st.one_of(st.text(), st.lists(LINES).map("\n".join), st.lists(st.one_of(LINES, st.text())).map("\n".join)))
def test_any_text_is_accepted(text: str) -> None:
    read = parse(text)
    assert isinstance(hash(read), int)
    assert tags_of(text) is not None
    assert all(name for name in read.params)


@given(st.lists(LINES).map("\n".join))
def test_the_indentation_of_the_whole_docstring_does_not_matter(text: str) -> None:
    unindented = f"Count.\n\nText.\n{text}"
    below = "\n".join(f"    {line}" for line in text.split("\n"))
    assert parse(f"Count.\n\n    Text.\n{below}") == parse(unindented) == parse(inspect.cleandoc(unindented))


WORDS = st.text("abcdefghij ", min_size=1).map(lambda text: " ".join(text.split())).filter(bool)


@given(
    st.dictionaries(st.sampled_from(["x", "when", "app_name", "größe"]), WORDS),
    st.sampled_from(["google", "numpy", "rest"]),
)
def test_what_is_written_in_each_style_is_read_back(params: dict[str, str], style: str) -> None:
    written = {
        "google": "Args:\n" + "\n".join(f"    {name} (int): {text}" for name, text in params.items()),
        "numpy": "Parameters\n----------\n" + "\n".join(f"{name} : int\n    {text}" for name, text in params.items()),
        "rest": "\n".join(f":param {name}: {text}" for name, text in params.items()),
    }
    assert parse(f"Count.\n\n{written[style]}\n").params == params
