"""Media on the page: shown as they were logged, fetched where they are looked at, never run as the page."""

import hashlib
import io
import json

import pytest
from PIL import Image

from browsing import drawn
from runfmt.layout import media_path
from runmaker import make_run, read, rows

MARKUP = '<img src=x onerror="hurt=1"><script>hurt=1</script>'
ATTACK = f"""<!doctype html>{MARKUP}<p id="mine">A page</p><script>
const say = (text) => {{ document.body.append(text); }};
try {{ parent.document.title = 'hurt'; }} catch {{ say(' no parent'); }}
try {{ sessionStorage.length; }} catch {{ say(' no storage'); }}
fetch('/v1/runs').catch(() => say(' no server'));
parent.postMessage('ready', '*');
</script>"""
SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="80" height="40" onload="top.hurt=1">'
    "<script>top.hurt=1</script></svg>"
)
CHARTS = "/charts?project=p"
INNOCENT = "window.hurt === undefined && document.title.includes('runfmt')"


def picture(width=40, height=30, color=(200, 40, 40)):
    """The bytes of a PNG of one colour; of one number, a grey one."""
    buffer = io.BytesIO()
    Image.new("RGB" if isinstance(color, tuple) else "L", (width, height), color).save(buffer, "PNG")
    return buffer.getvalue()


def mask():
    """Class 1 at the left, 2 at the right."""
    image = Image.new("L", (40, 30), 1)
    image.paste(2, (20, 0, 40, 30))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


class Run:
    """A run written by hand."""

    def __init__(self, folder, name="first", **about):
        self.path = make_run(folder, name, name=name, **about)
        self.uid = read(self.path / "run.json")["uid"]
        self.step = 100

    def file(self, kind, data, ending, type=None, key="k", **about):
        """Put a file into the run; gives the value that names it."""
        data = data.encode() if isinstance(data, str) else data
        digest = hashlib.sha256(data).hexdigest()
        path = media_path(kind, key, digest, ending)
        (self.path / path).parent.mkdir(parents=True, exist_ok=True)
        (self.path / path).write_bytes(data)
        named = {"path": path, "sha256": digest, "size": len(data)}
        return {"_type": type or f"{kind}-file", **named, **about}

    def log(self, **values):
        self.step += 1
        with open(self.path / "metrics.jsonl", "ab") as stream:
            stream.write(rows(self.step, 1, **values))
        return self.step


@pytest.fixture
def runs(tmp_path):
    return tmp_path / "runs"


@pytest.fixture
def run(runs):
    return Run(runs)


def panel(page, key):
    found = page.get_by_role("article", name=key, exact=True)
    found.scroll_into_view_if_needed()
    return found


def change(page, view):
    """Look at something else."""
    page.goto(f"{page.url.partition('#')[0]}#{view}")


def blobs(page):
    """How many files are held as addresses."""
    return page.evaluate("window.held")


COUNT = """
window.held = 0;
const [make, free] = [URL.createObjectURL, URL.revokeObjectURL];
URL.createObjectURL = (blob) => { window.held += 1; return make.call(URL, blob); };
URL.revokeObjectURL = (url) => { window.held -= 1; free.call(URL, url); };
"""


# What is shown


def test_pictures_of_runs_stand_side_by_side_at_a_step(show, runs):
    for name, count in (("first", 3), ("second", 2)):
        run = Run(runs, name)
        for at in range(count):
            run.log(val=run.file("image", picture(color=(at, 0, 0)), "png", caption=f"{name} {at}"))
    val = panel(show(runs, CHARTS), "val")
    val.get_by_text("first 2").wait_for()
    val.get_by_text("second 1").wait_for()
    slider = val.get_by_role("slider", name="Step of val")
    slider.press("Home")
    val.get_by_text("first 0").wait_for()
    val.get_by_text("second 0").wait_for()
    assert slider.get_attribute("aria-valuetext") == "step 101"
    slider.press("End")
    val.get_by_text("first 2").wait_for()
    val.get_by_text("second 1").wait_for()


def test_what_is_logged_meanwhile_appears(show, runs, run):
    run.log(val=run.file("image", picture(), "png", caption="early"))
    val = panel(show(runs, CHARTS), "val")
    val.get_by_text("early").wait_for()
    run.log(val=run.file("image", picture(color=(1, 2, 3)), "png", caption="late"))
    val.get_by_text("late").wait_for()
    val.get_by_role("slider").press("ArrowLeft")
    val.get_by_text("early").wait_for()


def test_panel_fills_the_screen_at_the_same_step_and_follows_the_theme(show, runs, run):
    for caption in ("early", "late"):
        run.log(val=run.file("image", picture(), "png", caption=caption))
        run.log(h={"_type": "histogram", "bins": [0, 1], "values": [1]})
    page = show(runs, CHARTS)
    panel(page, "val").get_by_role("slider").press("Home")
    panel(page, "val").get_by_text("early").wait_for()
    page.get_by_role("button", name="Fill the screen with val").click()
    page.get_by_role("dialog").get_by_text("early").wait_for()
    page.keyboard.press("Escape")
    canvas = panel(page, "h").locator("canvas")
    canvas.wait_for()
    color = "document.querySelector('.heat canvas')?.getContext('2d').getImageData(60, 60, 1, 1).data.join()"
    page.wait_for_function(f"{color} && {color} !== '0,0,0,0'")
    before = page.evaluate(color)
    page.get_by_role("button", name="Switch between dark and light").click()
    page.wait_for_function(f"(before) => {color} && {color} !== '0,0,0,0' && {color} !== before", arg=before)


COLORS = """(canvas) => [5, 35].map((x) => [...canvas.getContext('2d').getImageData(x, 15, 1, 1).data])"""


def test_classes_over_a_picture_are_switched(show, runs, run):
    labels = {"1": "left", "2": "right"}
    box = {"position": {"minX": 0.25, "maxX": 0.5, "minY": 0, "maxY": 1}, "class_id": 1}
    truth = run.file("mask", mask(), "png", "mask", class_labels=labels)
    over = {
        "boxes": {"net": {"_type": "boxes2D", "box_data": [box], "class_labels": labels}},
        "masks": {"truth": truth},
    }
    run.log(val=run.file("image", picture(), "png", **over))
    page = show(runs, CHARTS)
    val = panel(page, "val")
    place = val.locator(".drawn-box")
    place.wait_for()
    assert place.inner_text() == "left"
    outer, inner = val.locator(".picture").bounding_box(), place.bounding_box()
    assert inner["x"] - outer["x"] == pytest.approx(outer["width"] / 4, abs=1)
    assert inner["width"] == pytest.approx(outer["width"] / 4, abs=1)
    canvas = val.locator("canvas.mask")
    left, right = canvas.evaluate(COLORS)
    assert left[3] == right[3] == 255
    assert left != right
    val.get_by_role("button", name="truth: right").click()
    page.wait_for_function(f"() => ({COLORS})(document.querySelector('canvas.mask'))[1][3] === 0")
    assert canvas.evaluate(COLORS) == [left, [0, 0, 0, 0]]
    val.get_by_role("button", name="net: left").click()
    place.wait_for(state="detached")
    assert val.get_by_role("button", name="net: left").get_attribute("aria-pressed") == "false"


def test_picture_is_zoomed_to_its_full_size(show, runs, run):
    run.log(val=run.file("image", picture(900, 700), "png", caption="large"))
    page = show(runs, CHARTS)
    panel(page, "val").get_by_role("button", name="Zoom: large").click()
    dialog = page.get_by_role("dialog", name="large")
    dialog.get_by_role("button", name="1:1").click()
    assert dialog.locator(".picture").bounding_box()["width"] == pytest.approx(900)
    page.keyboard.press("Escape")
    dialog.wait_for(state="detached")


def test_histograms_of_all_steps_are_asked_for_at_once(show, runs, run):
    for at in range(150):
        run.log(h={"_type": "histogram", "bins": [0, 1, 2], "values": [at, 150 - at]})
    page = show(runs)
    with page.expect_response(lambda answer: '"key":"h"' in (answer.request.post_data or "")) as asked:
        change(page, CHARTS)
    answer = asked.value.json()
    assert len(answer["runs"][run.uid]["values"]) == 75
    label = panel(page, "h").get_by_role("img").get_attribute("aria-label")
    assert label.startswith("Step 102 to 250; at the last 150 values from 0 to 2")
    page.wait_for_load_state("networkidle")


def test_table_is_sorted_searched_and_paged(show, runs, run):
    cells = [[f"name {at:02}", at * 7 % 60, None] for at in range(60)]
    cells[3][2] = run.file("image", picture(), "png", caption="in a cell")
    document = {"columns": ["name", "n", "picture"], "data": cells}
    run.log(t=run.file("table", json.dumps(document), "table.json", ncols=3, nrows=60))
    table = panel(show(runs, CHARTS), "t")
    rows = table.get_by_role("row")
    table.get_by_text("1–25 of 60").wait_for()
    assert rows.count() == 26
    table.locator("td img").wait_for()
    for first in ("0", "59"):
        table.get_by_role("button", name="n", exact=True).click()
        assert rows.nth(1).get_by_role("cell").nth(1).inner_text() == first
    table.get_by_role("button", name="The next rows").click()
    assert rows.nth(1).get_by_role("cell").nth(1).inner_text() == "34"
    table.get_by_label("Search in all cells").fill("NAME 05")
    table.get_by_text("1–1 of 1").wait_for()


def test_every_kind_is_shown(shown, page):
    shown.enter(page, f"/run?project=shapes&part=charts&run={shown.uid('sgd')[-12:]}")
    panel(page, "tone").locator("audio").wait_for()
    panel(page, "film").locator("video").wait_for()
    assert panel(page, "film").locator("video").evaluate("(one) => one.error") is None
    panel(page, "spiral").get_by_text("400 points").wait_for()
    panel(page, "kinds").frame_locator("iframe").locator(".bars path").first.wait_for()
    panel(page, "page").frame_locator("iframe").get_by_text("ran").wait_for()
    panel(page, "predictions").get_by_text("1–12 of 12").wait_for()
    panel(page, "weights/first").get_by_role("img").wait_for()
    assert panel(page, "samples").locator("figcaption").count() == 6
    panel(page, "found").locator("canvas.mask").first.wait_for()


def test_cloud_is_turned_by_keys(show, runs, run):
    run.log(c=run.file("object3D", "[[0,0,0],[1,0,0],[0,2,0]]", "pts.json"))
    page = show(runs, CHARTS)
    canvas = panel(page, "c").locator("canvas")
    canvas.wait_for()
    now = "document.querySelector('.cloud canvas').toDataURL()"
    drawn(page)
    before = page.evaluate(now)
    canvas.press("ArrowRight")
    page.wait_for_function(f"(before) => {now} !== before", arg=before)


# What is fetched


def test_only_what_is_in_sight_is_fetched_and_it_is_freed(show, runs, run):
    files = [run.file("image", picture(color=(at % 256, at // 256, 9)), "png") for at in range(5000)]
    run.log(many={"_type": "images/separated", "count": 5000, "images": files})
    page = show(runs)
    page.add_init_script(COUNT)
    page.reload()
    asked = []
    page.on("request", lambda request: asked.append(request.url) if "/files/media" in request.url else None)
    change(page, CHARTS)
    panel(page, "many").locator("img").first.wait_for()
    page.wait_for_load_state("networkidle")
    assert 5 < len(asked) < 150
    body = panel(page, "many").locator(".column-body")
    for place in (0.2, 0.4, 0.6, 0.8, 1):
        body.evaluate("(element, place) => { element.scrollTop = place * element.scrollHeight; }", place)
        page.wait_for_load_state("networkidle")
        panel(page, "many").locator("img").first.wait_for()
    shown = panel(page, "many").locator("img").count()
    assert shown < 150
    assert blobs(page) <= shown + 80
    change(page, "/table?project=p")
    page.get_by_role("article").first.wait_for(state="detached")
    assert blobs(page) <= 64


# What is wrong


def test_what_is_wrong_with_a_file_is_said_in_its_place(show, runs, run, faults):
    gone = run.file("image", picture(color=(1, 1, 1)), "png")
    (run.path / gone["path"]).unlink()
    other = run.file("image", picture(color=(2, 2, 2)), "png")
    good = run.file("image", picture(color=(3, 3, 3)), "png", caption="good")
    run.log(
        gone=gone,
        digest=other | {"sha256": 64 * "0"},
        size=other | {"size": 7},
        picture=run.file("image", b"no picture", "png"),
        outside=good | {"path": "../../v1/runs"},
        unknown={"_type": "hologram", "depth": 3},
        bins={"_type": "histogram", "bins": [1, 0], "values": [1]},
        table=run.file("table", "{}", "table.json"),
        shape=run.file("object3D", "glTF", "glb"),
        figure=run.file("plotly", "[", "plotly.json"),
        good=good,
    )
    page = show(runs, CHARTS)
    for key, text in {
        "gone": "is not there",
        "digest": "its digest is another one",
        "size": "was logged with 7",
        "picture": "no picture that this browser knows",
        "outside": "names no file of the run",
        "unknown": 'cannot show values of type "hologram"',
        "table": "it is no table",
        "shape": "cannot show shapes of the kind glb",
        "figure": "cannot be shown",
    }.items():
        panel(page, key).get_by_text(text).wait_for()
    panel(page, "good").get_by_role("button", name="Zoom: good").wait_for()
    faults.expect("404")


def test_nothing_of_a_hostile_run_is_run_as_the_page(show, runs, faults):
    run = Run(runs, MARKUP.replace("/", "-"), notes=MARKUP, tags=[MARKUP])
    labels = {"1": MARKUP}
    box = {
        "position": {"middle": [0.5, 0.5], "width": 0.5, "height": 0.5},
        "class_id": 1,
        "box_caption": MARKUP,
    }
    table = {"columns": [MARKUP], "data": [[MARKUP], [{"_type": MARKUP}]]}
    figure = {"data": [{"y": [1, 2], "name": "</script>" + MARKUP}], "layout": {"title": {"text": MARKUP}}}
    over = {"boxes": {MARKUP: {"_type": "boxes2D", "box_data": [box], "class_labels": labels}}}
    run.log(
        image=run.file("image", picture(), "png", caption=MARKUP, **over),
        svg=run.file("image", SVG, "svg", caption=MARKUP),
        html=run.file("html", ATTACK, "html", caption=MARKUP),
        table=run.file("table", json.dumps(table), "table.json"),
        figure=run.file("plotly", json.dumps(figure), "plotly.json"),
        odd={"_type": MARKUP, MARKUP: MARKUP},
        **{MARKUP: run.file("image", picture(), "png")},
    )
    page = show(runs, CHARTS)
    page.get_by_role("heading", name=MARKUP).first.wait_for()
    frame = panel(page, "html").frame_locator("iframe")
    for text in ("no parent", "no storage", "no server"):
        frame.get_by_text(text).wait_for()
    for key in ("image", "svg", "figure", "table", "odd", MARKUP):
        panel(page, key)
    panel(page, "figure").frame_locator("iframe").locator(".trace").first.wait_for()
    panel(page, "table").locator("td").first.wait_for()
    panel(page, "svg").locator("img").wait_for()
    assert page.locator("main img[src='x'], main script").count() == 0
    assert page.evaluate(INNOCENT)
    faults.expect("Content Security Policy")
