"""Write a run with the standard library alone: python write_run.py FOLDER

Heartbeats (system.jsonl) are optional and left out: a run that logs nothing for 300 s is taken as crashed."""

import json
import math
import os
import secrets
import sys
import time

RESERVED = {"_step", "_timestamp", "_runtime", "_nonfinite", "_rewind", "_gap", "_summary", "_define"}  # R033


def plain(value, odd, at=""):
    """The value as JSON has it, with null for NaN and the infinities; `odd` gets their places (R035)."""
    if isinstance(value, (dict, list, tuple)) and at.count("/") >= 64:
        raise ValueError(f"more than 64 levels ({at[:40]}): log a flatter value")  # R025
    if isinstance(value, dict):
        return {k: plain(v, odd, f"{at}/{k.replace('~', '~0').replace('/', '~1')}") for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item, odd, f"{at}/{i}") for i, item in enumerate(value)]
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        value = float(value)  # R026
    if isinstance(value, float) and not math.isfinite(value):
        odd[at], value = json.dumps(value), None
    return value


def encode(document):
    text = json.dumps(plain(document, odd := {}) | ({"_nonfinite": odd} if odd else {}), ensure_ascii=False)
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").encode() + b"\n"  # R028


class Run:
    def __init__(self, folder, config=None, **about):
        id = time.strftime("%Y%m%d-%H%M%S-", time.gmtime()) + secrets.token_hex(3)
        os.makedirs(path := os.path.join(folder, id))  # claims the id (R015)
        ms, random = f"{time.time_ns() // 10**6:012x}", secrets.token_hex(9)
        uid = f"{ms[:8]}-{ms[8:]}-7{random[:3]}-a{random[3:6]}-{random[6:]}"  # UUIDv7
        self.path, self.about = path, {"runfmt": 1, "requires": [], "uid": uid, "id": id, **about}
        self.replace("config.json", config or {})  # both are durable before the first row (R018)
        self.describe("created_at", state="running", finished_at=None, exit_code=None)
        self.stream, self.step, self.time = open(f"{self.path}/metrics.jsonl", "ab", 0), 0, 0.0  # noqa: SIM115

    def describe(self, moment, **changed):
        self.about |= {**changed, moment: time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime())}
        self.replace("run.json", self.about)

    def replace(self, name, document):
        with open(f"{self.path}/.{name}", "wb") as file:  # another, private name, then a rename (R004)
            file.write(encode(document))
            file.flush()
            os.fsync(file.fileno())
        os.replace(file.name, f"{self.path}/{name}")
        os.fsync(directory := os.open(self.path, os.O_RDONLY))
        os.close(directory)

    def log(self, row):
        self.time = max(self.time, round(time.time(), 6))  # never goes back (R032)
        line = encode({"_step": self.step, "_timestamp": self.time, **row})
        if RESERVED & row.keys() or len(line) > 10 * 2**20:
            raise ValueError("a reserved key, or more than 10 MiB (R027, R033): log another row")
        if (written := self.stream.write(line)) != len(line):
            self.stream.truncate(self.stream.tell() - written)  # R022
            raise OSError("the disk took only a part of the row: make room and log it again")
        os.fsync(self.stream.fileno())  # R111
        self.step += 1

    def finish(self, exit_code=0):
        self.stream.close()
        self.describe("finished_at", state="failed" if exit_code else "finished", exit_code=exit_code)


if __name__ == "__main__":
    run = Run(sys.argv[1], {"lr": 0.1, "clip": math.inf}, project="demo", name="by-hand", tags=["no-library"])
    for step in range(5):
        run.log({"loss": math.nan if step == 3 else 1 / (step + 1), "eval": {"a/b~c": [step, -math.inf]}})
    run.finish()
    print(run.path)
