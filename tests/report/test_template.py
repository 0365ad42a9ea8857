"""A report's Markdown: what is a panel, what stays text, and what a mistake is told."""

import pytest

from runfmt.errors import UsageError
from runfmt_sync.report.template import DEFAULT, PANELS, Panel, notes_html, to_html


def panels(text):
    """The panels of a template, in their order."""
    found = []
    to_html(text, lambda panel: found.append(panel) or "")
    return found


def test_panels_have_keys_and_options():
    text = (
        '{{ chart "train/*" "a b" x="epoch" log smooth=0.5 }}\n\ntext\n\n{{table}}\n{{ media "x" steps=4 }}'
    )
    assert panels(text) == [
        Panel("chart", ("train/*", "a b"), {"x": "epoch", "log": "", "smooth": "0.5"}),
        Panel("table"),
        Panel("media", ("x",), {"steps": "4"}),
    ]


def test_panels_stand_within_markdown():
    html = to_html(
        "# Results\n\nThe *loss*:\n{{ runs }}\nand\n\n| a |\n| - |\n| 1 |", lambda panel: f"<x-{panel.name}>"
    )
    assert (
        html.index("<h1>Results</h1>")
        < html.index("<em>loss</em>")
        < html.index("<x-runs>")
        < html.index("<p>and</p>")
    )
    assert "<td>1</td>" in html


def test_code_and_text_within_a_line_are_no_panels():
    text = "```\n{{ runs }}\n```\n\n    {{ runs }}\n\nsay {{ runs }} here"
    assert panels(text) == []
    assert to_html(text, lambda _: "").count("{{ runs }}") == 3


def test_html_of_the_author_stays():
    assert "<details><summary>more</summary></details>" in to_html(
        "<details><summary>more</summary></details>", lambda _: ""
    )


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{{ plot }}", "there is no panel plot, but title, runs, table, config, chart, media"),
        ("{{ chart }}", 'chart needs a key: {{ chart "*" }} is of all'),
        ('{{ chart "loss" y=1 }}', "chart has no option y; there is: x, log, smooth"),
        ('{{ runs "a" }}', "runs takes no key"),
        ("{{ title log }}", "title has no option log; there is: none"),
        ('{{ chart "loss }}', "is no panel"),
        ('{{ chart "a""b" }}', "is not understood"),
        ("{{ chart", "is no panel"),
    ],
)
def test_mistake_is_told_with_its_line(line, said):
    with pytest.raises(UsageError) as error:
        panels(f"# Title\n\n{line}\n")
    assert str(error.value).startswith("the template, line 3: ")
    assert said in str(error.value)


def test_usual_report_has_all_panels():
    assert {panel.name for panel in panels(DEFAULT)} == set(PANELS)


def test_notes_of_a_run_are_markdown_without_html_and_lead_to_the_web_only():
    html = notes_html("**a**\nb <img src=x> [c](https://example.org) [d](javascript:x) ![e](https://e.org/f)")
    assert "<strong>a</strong>\nb &lt;img src=x&gt;" in html
    assert '<a href="https://example.org" rel="noopener noreferrer">c</a>' in html
    assert "[d](javascript:x)" in html
    assert "<img" not in html
