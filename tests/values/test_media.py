"""Images, sounds, videos, pages, shapes, plots and histograms: their files and their values."""

import hashlib
import io
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import PIL.Image
import plotly.graph_objects as go
import pytest
import soundfile
import torch

from runfmt.errors import MissingLibrary, UsageError
from runfmt.layout import is_safe
from runfmt.media import Audio, DirectorySink, Histogram, Html, Image, Object3D, Plotly, Video
from runfmt.tables import Table
from runfmt.values import normalise_row

mpl.use("agg")
import matplotlib.pyplot as plt


def logged(value, sink, key="k"):
    return normalise_row({key: value}, sink)[key]


def stored(value, tmp_path):
    """The bytes that a value names, after the checks that hold for every media file (R070-R073)."""
    data = (tmp_path / value["path"]).read_bytes()
    assert is_safe(value["path"])
    assert hashlib.sha256(data).hexdigest() == value["sha256"]
    assert len(data) == value["size"]
    assert value["sha256"][:20] in value["path"]
    return data


def pixels(value, tmp_path):
    return np.asarray(PIL.Image.open(io.BytesIO(stored(value, tmp_path))))


def files(tmp_path):
    return sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())


RAMP = np.arange(108, dtype=np.uint8).reshape(6, 6, 3)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (RAMP, RAMP),
        (RAMP[:, :, 0], RAMP[:, :, 0]),
        (RAMP[:, :, :1], RAMP[:, :, 0]),
        (RAMP.transpose(2, 0, 1)[:, :, :5], RAMP[:, :5]),
        (RAMP / np.float32(255), RAMP),
        (RAMP / 127.5 - 1, RAMP),
        (RAMP.astype(np.int64), RAMP),
        (np.array([[0, 1]]), np.array([[0, 255]])),
        (np.array([[True, False]]), np.array([[255, 0]])),
        (np.array([[math.nan, 0.5]]), np.array([[0, 128]])),
        (torch.from_numpy(RAMP.transpose(2, 0, 1).copy()), RAMP),
        (torch.from_numpy(RAMP.copy()), RAMP),
        (torch.full((2, 2), 0.5, dtype=torch.bfloat16, requires_grad=True), np.full((2, 2), 128)),
        (torch.zeros(1, 3, 5, 6), np.zeros((5, 6, 3))),
        (np.dstack([RAMP, RAMP[:, :, 0]]), np.dstack([RAMP, RAMP[:, :, 0]])),
    ],
)
def test_pixels_are_kept_scaled_and_put_in_order(data, expected, sink, tmp_path):
    found = pixels(logged(Image(data), sink), tmp_path)
    assert found.shape == expected.shape
    assert (found == expected).all()


def test_pixels_out_of_range_are_clipped_with_a_warning(sink, tmp_path):
    with pytest.warns(RuntimeWarning, match="clipped"):
        image = Image(np.array([[-300.0, 300.0, 7.0]]))
    assert pixels(logged(image, sink), tmp_path).tolist() == [[0, 255, 7]]
    assert pixels(logged(Image(np.array([[1.0, 0.2]]), normalize=False), sink), tmp_path).tolist() == [[1, 0]]


def test_a_batch_is_drawn_as_a_grid(sink, tmp_path):
    batch = torch.stack([torch.full((3, 4, 5), (index + 1) / 10) for index in range(9)])
    found = pixels(logged(Image(batch), sink), tmp_path)
    assert found.shape == (2 * 4 + 2, 8 * 5 + 7 * 2, 3)
    assert [found[0, 0, 0], found[0, 7, 0], found[6, 0, 0], found[6, 7, 0]] == [26, 51, 229, 0]
    assert not pixels(logged(Image(batch - 1), sink), tmp_path)[4:6].any()


def test_the_value_of_an_image_says_what_users_know(sink):
    boxes = {
        "predictions": {
            "box_data": [{"position": {"minX": np.float32(0.5)}, "class_id": 1}],
            "class_labels": {1: "cat"},
        }
    }
    masks = {"truth": {"mask_data": np.array([[0, 1], [2, 3]]), "class_labels": {0: "sky"}}}
    image = Image(
        RAMP, caption="a\ud800", grouping=2, classes=[{"id": 1, "name": "cat"}], boxes=boxes, masks=masks
    )
    found = logged(image, sink, "val/pic")
    assert (found["_type"], found["format"], found["width"], found["height"]) == ("image-file", "png", 6, 6)
    assert (found["caption"], found["grouping"], found["classes"]) == ("a�", 2, [{"id": 1, "name": "cat"}])
    assert found["boxes"]["predictions"]["box_data"] == [{"position": {"minX": 0.5}, "class_id": 1}]
    assert found["boxes"]["predictions"]["class_labels"] == {"1": "cat"}
    assert found["masks"]["truth"]["_type"] == "mask"
    assert found["masks"]["truth"]["class_labels"] == {"0": "sky"}
    assert found["path"].startswith("media/image/val-pic_")


def test_a_mask_keeps_its_classes_as_pixels(sink, tmp_path):
    image = Image(RAMP, masks={"m": {"mask_data": np.array([[0, 1], [2, 255]])}})
    assert pixels(logged(image, sink)["masks"]["m"], tmp_path).tolist() == [[0, 1], [2, 255]]


def test_images_are_made_of_paths_pillow_figures_and_images(sink, tmp_path):
    path = tmp_path / "a.jpg"
    PIL.Image.fromarray(RAMP).save(path)
    found = logged(Image(str(path), caption="c"), sink)
    assert stored(found, tmp_path) == path.read_bytes()
    assert (found["format"], found["width"], found["path"][-4:]) == ("jpg", 6, ".jpg")
    assert logged(Image(Image(path, caption="c")), sink) == found
    assert (pixels(logged(Image(PIL.Image.fromarray(RAMP)), sink), tmp_path) == RAMP).all()
    figure, axes = plt.subplots()
    axes.plot([1, 2])
    sizes = [logged(value, sink)["width"] for value in (Image(figure), figure, axes, plt, axes.lines[0])]
    assert sizes == [640] * 5
    plt.close(figure)
    assert Image(RAMP).image.size == (6, 6)


def test_file_types_and_modes_are_followed(sink, tmp_path):
    with pytest.warns(RuntimeWarning, match="no transparency"):
        found = logged(Image(np.zeros((2, 2, 4)), file_type="jpg"), sink)
    assert PIL.Image.open(io.BytesIO(stored(found, tmp_path))).format == "JPEG"
    assert pixels(logged(Image(RAMP, mode="L"), sink), tmp_path).ndim == 2
    with pytest.raises(UsageError, match="file_type 'tiff'"):
        Image(RAMP, file_type="tiff")


@pytest.mark.parametrize("shape", [(5,), (7, 7, 7), (0, 4), (2, 2, 2, 2, 2)])
def test_an_impossible_shape_is_refused(shape):
    with pytest.raises(UsageError, match="shape"):
        Image(np.zeros(shape))


def test_the_pixels_are_those_of_the_time_when_the_image_was_made(sink, tmp_path):
    array = np.zeros((2, 2), np.uint8)
    image = Image(array)
    array[:] = 9
    assert not pixels(logged(image, sink), tmp_path).any()


def test_a_list_of_one_kind_is_one_value(sink, tmp_path):
    found = logged([Image(RAMP, caption="a"), Image(RAMP[:2])], sink)
    assert (found["_type"], found["count"], found["captions"]) == ("images/separated", 2, ["a", ""])
    assert [pixels(one, tmp_path).shape[0] for one in found["images"]] == [6, 2]
    assert "captions" not in logged((Image(RAMP),), sink)
    assert logged([Html("<p>a"), Html("<p>b")], sink)["count"] == 2
    mixed = logged([Image(RAMP), Html("<p>a"), 1], sink)
    assert [one["_type"] for one in mixed[:2]] == ["image-file", "html-file"]
    assert logged([], sink) == []


def test_equal_media_of_a_key_are_stored_once(sink, tmp_path):
    first = logged(Image(RAMP), sink)
    written = os.stat(tmp_path / first["path"]).st_ino
    path = tmp_path / "same.png"
    path.write_bytes(stored(first, tmp_path))
    assert logged(Image(RAMP), sink)["path"] == logged(Image(path), sink)["path"] == first["path"]
    assert os.stat(tmp_path / first["path"]).st_ino == written
    assert logged(Image(RAMP), sink, "other")["path"] != first["path"]
    assert len(files(tmp_path)) == 3


@pytest.mark.parametrize(
    "key", ["../../x", "/etc/passwd", "a\\b", "..", "", "ü/ß", "x" * 300, "con", "a\nb", "."]
)
def test_keys_and_captions_are_data_and_never_paths(key, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    found = logged(Image(RAMP, caption="../../../y"), DirectorySink(run), key)
    stored(found, run)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    assert found["caption"] == "../../../y"


def test_nothing_is_written_when_a_later_value_is_refused(sink, tmp_path):
    with pytest.raises(TypeError, match="'b'"):
        normalise_row({"a": Image(RAMP), "b": object()}, sink)
    with pytest.raises(TypeError, match="table-file"):
        normalise_row({"a": Image(RAMP), "b": Table(["x"], [[object()]])}, sink)
    assert files(tmp_path) == []


def test_a_disk_that_refuses_gives_null_and_a_warning_unless_strict(tmp_path):
    (tmp_path / "media").write_text("in the way")
    with pytest.warns(RuntimeWarning, match="'k' is logged as null"):
        assert logged(Image(RAMP), DirectorySink(tmp_path)) is None
    with pytest.raises(OSError, match="media"):
        logged(Image(RAMP), DirectorySink(tmp_path, strict=True))


def test_a_large_file_is_copied_in_pieces(sink, tmp_path):
    path = tmp_path / "big.mp4"
    with open(path, "wb") as file:
        file.truncate(64 * 2**20)
    program = (
        "import pathlib; from runfmt.media import DirectorySink, Video;"
        "import tracemalloc; tracemalloc.start();"
        f"value = Video({str(path)!r}).to_json('k', DirectorySink(pathlib.Path({str(tmp_path)!r})));"
        "print(value['size'], tracemalloc.get_traced_memory()[1] < 2**23)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(64 * 2**20), "True"]


def test_media_of_missing_files_are_refused_when_made(tmp_path):
    for kind in (Image, Audio, Video, Object3D):
        with pytest.raises(FileNotFoundError, match="no such file"):
            kind(tmp_path / "absent.png")


def test_audio_is_made_of_samples_paths_and_bytes(sink, tmp_path):
    wave = np.sin(np.linspace(0, 440, 8000)).astype(np.float32)
    found = logged(Audio(wave, sample_rate=8000, caption="a"), sink)
    samples, rate = soundfile.read(io.BytesIO(stored(found, tmp_path)))
    assert (rate, found["duration"], found["sample_rate"], found["caption"]) == (8000, 1.0, 8000, "a")
    assert np.abs(samples - wave).max() < 1e-4
    stereo = logged(Audio(torch.zeros(2, 100), sample_rate=100), sink)
    assert soundfile.info(io.BytesIO(stored(stereo, tmp_path))).channels == 2
    path = tmp_path / "a.flac"
    soundfile.write(path, wave, 8000)
    assert logged(Audio(path), sink)["path"].endswith(".flac")
    assert stored(logged(Audio(path.read_bytes()), sink), tmp_path) == path.read_bytes()
    with pytest.raises(UsageError, match="sample_rate"):
        Audio(wave)
    assert logged([Audio(path), Audio(path)], sink)["_type"] == "audio"


def test_video_is_made_of_frames_paths_and_bytes(sink, tmp_path):
    frames = np.random.default_rng(0).integers(0, 256, (3, 3, 8, 8), dtype=np.uint8)
    found = logged(Video(frames, fps=10), sink)
    movie = PIL.Image.open(io.BytesIO(stored(found, tmp_path)))
    assert (movie.format, movie.n_frames, found["format"]) == ("GIF", 3, "gif")
    assert movie.info["duration"] == 100
    side_by_side = logged(Video(torch.zeros(2, 3, 3, 8, 8)), sink)
    assert PIL.Image.open(io.BytesIO(stored(side_by_side, tmp_path))).size == (16, 8)
    path = tmp_path / "a.mp4"
    path.write_bytes(b"not looked at")
    assert stored(logged(Video(str(path)), sink), tmp_path) == b"not looked at"
    assert logged(Video(io.BytesIO(b"x"), format="webm"), sink)["path"].endswith(".webm")
    with pytest.raises(UsageError, match="ending 'exe'"):
        Video(_touched(tmp_path / "a.exe"))


@pytest.mark.parametrize(("ending", "magic"), [("mp4", b"ftyp"), ("webm", b"webm")])
def test_frames_become_movies_where_the_library_is_there_and_gifs_elsewhere(
    ending, magic, sink, tmp_path, monkeypatch
):
    frames = np.zeros((3, 3, 16, 18), np.uint8)
    found = logged(Video(frames, format=ending), sink)
    assert (found["format"], magic in stored(found, tmp_path)[:64]) == (ending, True)
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.warns(RuntimeWarning, match="pip install imageio-ffmpeg"):
        assert logged(Video(frames, format=ending), sink)["format"] == "gif"


def _touched(path):
    path.touch()
    return path


def test_html_is_made_of_text_paths_and_files(sink, tmp_path):
    path = tmp_path / "a.html"
    path.write_text("<p>file")
    with open(path) as file:
        made = [
            Html("<p>text"),
            Html(path),
            Html(str(path)),
            Html(file),
            Html("x.html", data_is_not_path=True),
        ]
    found = [stored(logged(one, sink), tmp_path).decode() for one in made]
    assert found == ["<p>text", "<p>file", "<p>file", "<p>file", "x.html"]
    buffer = io.StringIO()
    buffer.write("<p>buffer")
    assert stored(logged(Html(buffer), sink), tmp_path) == b"<p>buffer"
    assert stored(logged(Html("see absent.html"), sink), tmp_path) == b"see absent.html"


def test_objects_are_made_of_points_scenes_and_files(sink, tmp_path):
    found = logged(Object3D(np.zeros((2, 3))), sink)
    assert json.loads(stored(found, tmp_path)) == [[0, 0, 0], [0, 0, 0]]
    assert found["path"].endswith(".pts.json")
    scene = logged(Object3D({"type": "lidar/beta", "points": torch.ones(1, 3), "boxes": np.array([])}), sink)
    assert json.loads(stored(scene, tmp_path)) == {"type": "lidar/beta", "points": [[1, 1, 1]], "boxes": []}
    assert logged(Object3D(_touched(tmp_path / "a.OBJ")), sink)["path"].endswith(".obj")
    assert logged(Object3D(io.StringIO("v 0 0 0"), file_type="obj"), sink)["path"].endswith(".obj")
    with pytest.raises(UsageError, match="shape"):
        Object3D(np.zeros((2, 5)))
    with pytest.raises(UsageError, match="ending 'txt'"):
        Object3D(_touched(tmp_path / "a.txt"), file_type="txt")


def test_plotly_figures_are_kept_as_their_json(sink, tmp_path):
    figure = go.Figure(go.Scatter(x=[1, 2], y=np.array([3.0, 4.0])))
    for value in (figure, Plotly(figure), Plotly(figure.to_dict())):
        found = logged(value, sink)
        assert found["_type"] == "plotly-file"
        assert json.loads(stored(found, tmp_path))["data"][0]["x"] == [1, 2]


def test_histograms_count_what_is_finite():
    found = Histogram([0, 1, 1, math.nan, math.inf], num_bins=2).to_json()
    assert found == {"_type": "histogram", "bins": [0.0, 0.5, 1.0], "values": [1, 2], "nonfinite": 2}
    assert Histogram(torch.rand(10, 10), num_bins=None).to_json()["values"].__len__() == 64
    given = Histogram(np_histogram=np.histogram([1, 2, 3], bins=3)).to_json()
    assert given["values"] == [1, 1, 1]
    assert Histogram(np_histogram=((1, 2), (0, 1, 2))).bins == [0, 1, 2]
    narrow = [5.0, float(np.nextafter(5.0, 6))]
    assert Histogram(narrow).to_json() == {"_type": "histogram", "bins": narrow, "values": [2]}
    assert (sum(Histogram([5.0] * 3).histogram), Histogram([5.0]).bins[0]) == (3, 4.5)
    assert Histogram([1e300] * 2).histogram == [2]
    assert sum(Histogram(np.array([-(2**63), 2**63 - 1])).histogram) == 2
    assert sum(Histogram([-1.7e308, 1.7e308]).histogram) == 2
    assert sum(Histogram([]).histogram) == 0


@pytest.mark.parametrize(
    "given",
    [
        {"np_histogram": ([1, 2], [0, 1])},
        {"np_histogram": ([1] * 513, list(range(514)))},
        {"np_histogram": ([1],)},
        {"sequence": [1], "num_bins": 513},
        {"sequence": [1], "num_bins": 0},
        {},
    ],
)
def test_impossible_histograms_are_refused(given):
    with pytest.raises(ValueError, match=r"bins|histogram"):
        Histogram(**given)


@pytest.mark.parametrize(
    ("module", "make", "package"),
    [
        ("PIL", lambda: Image(RAMP), "pillow"),
        ("soundfile", lambda: Audio(np.zeros(3), sample_rate=1), "soundfile"),
        ("numpy", lambda: Histogram([1, 2]), "numpy"),
    ],
)
def test_a_missing_library_is_named_with_the_line_that_installs_it(module, make, package, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingLibrary, match=f"pip install {package}"):
        make()


def test_a_picture_file_needs_no_pillow(sink, tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    PIL.Image.fromarray(RAMP).save(path)
    monkeypatch.setitem(sys.modules, "PIL", None)
    assert stored(logged(Image(path), sink), tmp_path) == path.read_bytes()


def test_importing_the_values_loads_no_other_library():
    program = (
        "import sys, runfmt.values, runfmt.tables, runfmt.plot, runfmt.watch;"
        "import runfmt.tensorboard, runfmt.artifacts;"
        "print(sorted({'numpy', 'torch', 'pandas', 'PIL', 'matplotlib', 'yaml'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_tables_keep_their_cells_and_media(sink, tmp_path):
    table = Table(["id", "picture", "vector", 3], [[np.int64(1), Image(RAMP), np.arange(40.0), math.nan]])
    found = logged(table, sink, "val.t")
    content = json.loads(stored(found, tmp_path))
    assert (found["_type"], found["ncols"], found["nrows"]) == ("table-file", 4, 1)
    assert found["path"].endswith(".table.json")
    assert content["columns"] == ["id", "picture", "vector", "3"]
    number, picture, vector, missing = content["data"][0]
    assert (number, vector, missing) == (1, list(range(40)), None)
    assert content["_nonfinite"] == {"/data/0/3": "NaN"}
    assert pixels(picture, tmp_path).shape == (6, 6, 3)


def test_tables_are_made_of_rows_arrays_and_frames(sink, tmp_path):
    frame = pd.DataFrame({"i": [1, 2], "f": [0.5, 1.5], "s": ["a", None]})
    for value in (frame, Table(dataframe=frame), Table(data=frame)):
        content = json.loads(stored(logged(value, sink), tmp_path))
        assert content["columns"] == ["i", "f", "s"]
        assert [row[0] for row in content["data"]] == [1, 2]
        assert all(type(row[0]) is int for row in content["data"])
    assert Table(columns=["a", "b"], data=np.eye(2)).data == [[1.0, 0.0], [0.0, 1.0]]
    assert Table(rows=[[1, 2, 3]], log_mode="MUTABLE").columns == ["Input", "Output", "Expected"]


def test_tables_grow_by_rows_and_columns(sink):
    table = Table(["a"])
    table.add_data(1)
    first = logged(table, sink)
    table.add_row(2)
    table.add_column("b", np.array([3, 4]))
    table.add_computed_columns(lambda index, row: {"c": row["a"] + index})
    assert list(table.iterrows()) == [(0, [1, 3, 1]), (1, [2, 4, 3])]
    assert (table.get_column("b"), table.get_column("c", convert_to="numpy").sum()) == ([3, 4], 4)
    assert table.get_dataframe().shape == (2, 3)
    assert logged(table, sink)["path"] != first["path"]
    for wrong in (
        lambda: table.add_data(1),
        lambda: table.add_column("a", [1, 2]),
        lambda: table.get_column("z"),
    ):
        with pytest.raises(UsageError):
            wrong()
    with pytest.raises(UsageError, match="1 values and the table 2 rows"):
        table.add_column("d", [1])


def test_a_summary_of_the_folder_holds_only_safe_names(sink, tmp_path):
    path = Path(tmp_path, "weird name.tar.GZ;rm")
    path.write_bytes(b"x")
    assert logged(Audio(path), sink)["path"].rpartition(".")[2] == "rm"
    assert all(is_safe(name) for name in files(tmp_path) if name.startswith("media/"))
