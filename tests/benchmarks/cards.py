"""What nvidia-smi says of the cards: which they are, and what they did while something was measured."""

import os
import statistics
import subprocess
import threading
import time

from benchmarks.child import Wrong

IDENTITY = ("index", "name", "driver_version", "memory.total", "power.limit", "clocks.max.sm")
TEXTS = ("name", "driver_version")
STATE = ("clocks.sm", "power.draw", "temperature.gpu", "memory.used", "utilization.gpu")
REASONS = ("clocks_event_reasons.active", "clocks_throttle_reasons.active")  # by newer and by older drivers

# Bits of nvmlDeviceGetCurrentClocksEventReasons.
NAMES = {0x1: "idle", 0x2: "application clocks", 0x4: "power cap", 0x8: "hardware slowdown", 0x10: "sync boost",
         0x20: "thermal slowdown", 0x40: "hardware thermal slowdown", 0x80: "power brake", 0x100: "display clocks"}
SPOILING = 0x8 | 0x20 | 0x40 | 0x80  # a power cap is how a busy card runs; these say that something is wrong with it
MIB = 2**20


def parse_reasons(mask):
    return [name for bit, name in NAMES.items() if mask & bit]


def parse_value(field, text):
    """A number where it is one; None for [N/A], [Not Supported] and the like."""
    text = text.strip()
    if field in TEXTS:
        return text
    if text.startswith("[") or text in ("", "N/A"):
        return None
    try:
        return int(text, 16) if text.startswith("0x") else float(text)
    except ValueError:
        return text


def parse_rows(text, fields):
    """Of `--format=csv,noheader,nounits`: a dictionary for each card."""
    rows = []
    for line in filter(str.strip, text.splitlines()):
        values = line.split(",")
        if len(values) != len(fields):
            raise Wrong(f"nvidia-smi says: {line.strip()}")
        rows.append({field: parse_value(field, value) for field, value in zip(fields, values)})
    return rows


def query(fields, ids=()):
    command = ["nvidia-smi", f"--query-gpu={','.join(fields)}", "--format=csv,noheader,nounits"]
    if ids:
        command += ["-i", ",".join(ids)]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except FileNotFoundError:
        raise Wrong("no nvidia-smi, so no cards to measure on") from None
    except subprocess.TimeoutExpired:
        raise Wrong("nvidia-smi does not answer") from None
    if said.returncode:
        raise Wrong(f"nvidia-smi: {(said.stdout + said.stderr).strip().splitlines()[-1:] or said.returncode}")
    return parse_rows(said.stdout, fields)


def choose(count):
    """The first cards of those that this process may see, as CUDA_VISIBLE_DEVICES names them."""
    allowed = os.environ.get("CUDA_VISIBLE_DEVICES")
    ids = [f"{row['index']:.0f}" for row in query(IDENTITY)] if allowed is None else [i for i in allowed.split(",") if i]
    if len(ids) < max(count, 1):
        raise Wrong(f"{len(ids)} cards, not {count}" if ids else "no cards to measure on")
    return ids[:count]


def describe(ids):
    """The cards for the output, and the driver's version."""
    rows = query(IDENTITY, ids)
    cards = [{"name": row["name"], "memory_bytes": row["memory.total"] and int(row["memory.total"] * MIB),
              "power_limit_w": row["power.limit"], "max_sm_mhz": row["clocks.max.sm"]} for row in rows]
    return cards, rows[0]["driver_version"]


def summary(samples, began=None, ended=None):
    """What the cards did between two moments, or while they were busy where these are not known; memory: at its most.

    `samples`: (moment, rows of STATE and the reasons), as Watch takes them.
    """
    if not samples:
        return {}
    at_work = [row for moment, rows in samples for row in rows if began is not None and began <= moment <= ended]
    if not at_work:
        every = [row for _, rows in samples for row in rows]
        at_work = [row for row in every if (row["utilization.gpu"] or 0) >= 90] or every

    def known(field, rows):
        return [row[field] for row in rows if isinstance(row[field], (int, float))]

    def of(choice, field, rows=at_work):
        return choice(known(field, rows)) if known(field, rows) else None

    masks = [int(mask) for mask in known("reasons", at_work)]
    reasons = sorted({name for mask in masks for name in parse_reasons(mask)} - {"idle"})
    peak = of(max, "memory.used", [row for _, rows in samples for row in rows])
    return {"samples": len(at_work), "sm_mhz": of(statistics.median, "clocks.sm"), "sm_mhz_least": of(min, "clocks.sm"),
            "power_w": of(max, "power.draw"), "temperature_c": of(max, "temperature.gpu"), "reasons": reasons,
            "spoilt": any(mask & SPOILING for mask in masks), "card_memory_bytes": peak and int(peak * MIB)}


class Watch:
    """Asks nvidia-smi again and again while its block runs. No ids: nothing to watch."""

    def __init__(self, ids, seconds=0.2):
        self.ids, self.seconds, self.samples = ids, seconds, []
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.look, daemon=True)

    def look(self):
        for reasons in REASONS:
            try:
                while not self.over.is_set():
                    moment, rows = time.time(), query((*STATE, reasons), self.ids)
                    for row in rows:
                        row["reasons"] = row.pop(reasons)
                    self.samples.append((moment, rows))
                    self.over.wait(self.seconds)
                return
            except Wrong:  # a driver that does not know this field
                continue

    def __enter__(self):
        if self.ids:
            self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        if self.ids:
            self.thread.join()
