"""Both foreign readers on a stream that is cut at every byte, compared with ours."""

import subprocess

import pytest

from foreign import COMMANDS, foreign, ours

NOW = 1732417858.0  # 300 s after the middle of the stream
RUN = b"""{"runfmt": 1, "requires": [], "uid": "0193572c-7c8e-7cc1-a4a5-0f3c2d1b9e77", "id": "one",
 "name": "n", "created_at": "2024-11-24T03:05:54.000000Z", "state": "running"}"""
LINES = r"""
{"_step":0,"_timestamp":1732417554.123456,"loss":0.31,"eval":{"acc":0.9,"é\n":["日本",{"a":[]}]}}
{"_step":1,"_timestamp":1732417555.5,"loss":null,"b":[null,1],"_nonfinite":{"/loss":"NaN","/b/0":"-Infinity"}}
{"_step":2,"_timestamp":1732417556,"a.b":"😀 \u2028 \ud83d\ude00","__proto__":{"x":{}}}
{"_step":1,"_timestamp":1732417557,"eval":{"acc":null},"_nonfinite":{"/eval/acc":"Infinity"}}
{"_step":0,"_timestamp":1732417558,"_rewind":0,"loss":1e-7}
{"_step":3,"_timestamp":1732417559,"_gap":{"rows":2,"reason":"No space left on device"}}
{"_step":3.0,"_timestamp":1732417560,"_summary":{"set":{"best":0.93},"del":["tmp"]},"_runtime":4}
{"_step":3,"_timestamp":1732417561,"_define":{"name":"val.*","summary":["min"]},"eval":"x"}
{"_step":4,"x":{"_type":"image-file","path":"../secret"}}
{"_step":4,"_timestamp":1732417999,"x":{"a":1},"_nonfinite":{"/nowhere":"NaN"}}
"""
STREAM = LINES.lstrip().encode()


@pytest.fixture(scope="module")
def cut(tmp_path_factory):
    """A run for each length of the stream."""
    folder = tmp_path_factory.mktemp("cut")
    runs = [folder / str(length) / "one" for length in range(len(STREAM) + 1)]
    for length, run in enumerate(runs):
        run.mkdir(parents=True)
        (run / "run.json").write_bytes(RUN)
        (run / "metrics.jsonl").write_bytes(STREAM[:length])
    return runs, [ours(run, NOW) for run in runs]


@pytest.mark.parametrize("language", COMMANDS)
def test_every_cut_of_a_stream_is_read_as_by_our_reader(cut, language):
    runs, expected = cut
    seen = foreign(language, runs, NOW)
    assert len(seen) == len(expected) == len(STREAM) + 1
    wrong = [length for length, both in enumerate(zip(seen, expected, strict=True)) if both[0] != both[1]]
    assert wrong == [], [seen[wrong[0]], expected[wrong[0]]]


def test_stream_that_is_cut_shows_what_can_differ(cut):
    expected = cut[1]
    assert {problem["rule"] for problem in expected[-1]["problems"]} == {"R031", "R036", "R052", "R070"}
    assert [len(said["rows"]["main"]) for said in expected if said["problems"] == []] == [0, 1, 2, 3, 3, 1]
    assert {said["state"] for said in expected} == {"crashed", "running"}


@pytest.mark.parametrize("language", COMMANDS)
def test_directory_that_is_no_run_is_refused_by_name(tmp_path, language):
    done = subprocess.run([*COMMANDS[language], tmp_path], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"not a run ({tmp_path})" in done.stderr
