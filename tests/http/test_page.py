"""The page, the documentation, and that neither asks anybody else for anything."""

import re
from html.parser import HTMLParser

import pytest

import variations
from server.engines.arranger import orchestrate, reports
from server.jobs.record import Role
from server.kinds import transform
from tests.http.world import World
from tests.unit.arranger.arranging import pieces

REFERENCES = ("src", "href", "action", "poster", "srcset")
OWN = re.compile(r"(/|swagger/|#|data:)")


class Loads(HTMLParser):
    """Collects what a page refers to."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the references of a tag."""
        del tag
        self.found += [value for name, value in attrs if name in REFERENCES and value]


def loads(html: str) -> list[str]:
    """Return what a page refers to."""
    parser = Loads()
    parser.feed(html)
    return parser.found


def fetch(here: World, path: str) -> tuple[int, str]:
    """Return status and text of a page or a file."""
    with here.client.get(path, follow_redirects=True) as response:
        return response.status_code, response.get_data(as_text=True)


def test_the_page_offers_every_preset(here: World) -> None:
    """In one request, with a limit the server really has."""
    _, html = fetch(here, "/")

    assert all(f'value="{name}"' in html for name in variations.load())
    assert "up to 300 seconds" in html


def test_what_the_page_asks_is_what_a_transform_takes(here: World) -> None:
    """Every field of its form is a parameter, those of passages and previews among them."""
    _, html = fetch(here, "/")
    asked = set(re.findall(r'<input[^>]* name="(\w+)"', html))

    assert asked <= set(transform.Spec.model_fields)
    assert {"variation", "start_seconds", "end_seconds", "preview"} <= asked


def test_the_page_tells_results_from_previews_and_asks_for_several(here: World) -> None:
    """In the words of the job's view and of its parameters."""
    _, script = fetch(here, "/static/studio.js")

    assert all(f'role === "{role}"' in script for role in (Role.RESULT, Role.PREVIEW))
    assert 'append("variations"' in script


def test_the_page_plays_the_examples_that_the_server_offers(here: World) -> None:
    """With the key that its browser keeps, as players send none."""
    html, script = fetch(here, "/")[1], fetch(here, "/static/studio.js")[1]

    assert 'id="hear"' in html
    assert "each.example" in script
    assert 'fetch(element("hear").dataset.url, { headers: headers() })' in script


def test_the_page_shows_the_picture_of_each_result(here: World) -> None:
    """Fetched with the key, and only when somebody looks; browsers may show what was fetched."""
    html, script = fetch(here, "/")[1], fetch(here, "/static/report.js")[1]

    assert html.index("report.js") < html.index("studio.js")
    assert 'class="picture"' in html
    assert "fetch(url, { headers: headers() })" in script
    assert "img-src 'self' blob:" in here.client.get("/").headers["Content-Security-Policy"]


def test_the_page_reads_what_reports_have(here: World) -> None:
    """What it says of a source, and the files it offers, are named as reports name them."""
    _, script = fetch(here, "/static/report.js")
    heard = pieces.heard([pieces.note(0.0, 1.0, 60)], [pieces.chord(0.0, 8.0, "C")])
    arrangement = variations.load()["celtic"].arrangement
    facts = reports.facts(heard, orchestrate.arrange(heard, arrangement, strength=1.0, seed=0))

    shown = [*re.findall(r"heard\.(\w+)", script), "bpm", "bpm_range", "steady", "meter", "swing"]
    assert set(shown) - {"hints"} <= set(facts)
    assert all(f"{role}:" in script for role in (Role.MIDI, Role.COMPARISON))


@pytest.mark.parametrize("page", ["/", "/docs/swagger"])
def test_pages_load_nothing_from_outside(here: World, page: str) -> None:
    """Every reference stays on this server and can be had."""
    found = loads(fetch(here, page)[1])

    assert found
    assert [] == [each for each in found if not OWN.match(each)]
    own = [each if each.startswith("/") else f"/docs/{each}" for each in found]
    assert {200} == {fetch(here, each)[0] for each in own}


@pytest.mark.parametrize("asset", ["studio.js", "report.js", "studio.css"])
def test_scripts_and_styles_name_no_other_host(here: World, asset: str) -> None:
    """No address of another machine stands in them."""
    _, text = fetch(here, f"/static/{asset}")

    assert text
    assert re.search(r"https?:|url\(|@import|//[a-z]", text) is None


def test_the_negative_control_is_seen() -> None:
    """A page that did load something would be caught."""
    found = loads('<script src="https://cdn.example/x.js"></script><link href="//cdn.example/y">')

    assert len(found) == 2
    assert not OWN.match(found[0])


def test_browsers_are_told_to_load_nothing_else(here: World) -> None:
    """A content policy, as a second lock."""
    policy = here.client.get("/").headers["Content-Security-Policy"]

    assert policy.startswith("default-src 'self'")


def test_the_documentation_asks_no_validator(here: World) -> None:
    """Swagger would send the document's address to a foreign host for a badge."""
    _, html = fetch(here, "/docs")

    assert '"validatorUrl": null' in html
