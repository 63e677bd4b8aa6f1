"""Outputs of beside.py as rows of one table, and the table as text."""

import csv
import io
import json

FORMAT = 1  # of beside.py's output
GIB = 2**30


class BadOutput(Exception):
    """Said in one line."""


def rows_of(output):
    """A row for each measurement, with what it must be read beside. Raises BadOutput."""
    try:
        if output["format"] != FORMAT:
            raise BadOutput(f"format {output['format']}, not {FORMAT}")
        floor, rows = output["floor"], []
        ours = next((one.get("ms") for one in output["measurements"] if one["name"].startswith("flux-dist")), None)
        names = sorted({card["name"] for card in output["cards"]}) or ["CPU"]
        for one in output["measurements"]:
            ms, state = one.get("ms"), one.get("cards", {})
            rows.append({
                "what": one["name"], "cards": output["gpus"], "card": ", ".join(names),
                "size": f"{output['width']} x {output['height']} + {output['text_tokens']}", "ms": ms,
                "of_floor": one.get("of_floor"), "of_fp8_floor": one.get("of_fp8_floor"),
                "of_flux_dist": ms / ours if ms and ours else None,
                "floor_ms": floor["bf16"].get("ms"), "fp8_floor_ms": floor["fp8"].get("ms"),
                "peak_gib": one["peak_bytes"] / GIB if one.get("peak_bytes") else None,
                "card_gib": state["card_memory_bytes"] / GIB if state.get("card_memory_bytes") else None,
                "compile_s": one.get("compile_s"), "sm_mhz": state.get("sm_mhz"), "power_w": state.get("power_w"),
                "versions": ", ".join(f"{name} {known}" for name, known in output["versions"].items() if known),
                "date": output["date"], "note": "; ".join([*filter(None, [one.get("error")]), *output["warnings"]])})
        if not rows:
            raise BadOutput("nothing was measured")
        return rows
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise BadOutput(f"no output of beside.py: {error!r}") from None


def by_floor(rows):
    """Of few cards first; what comes closest to its own floor first; what failed last."""
    return sorted(rows, key=lambda row: (row["size"], row["cards"], row["of_floor"] is None, row["of_floor"]))


# Of the table for people: heading, field, digits.
COLUMNS = (("", "what", None), ("cards", "cards", 0), ("card", "card", None), ("ms a step", "ms", 1),
           ("x the floor", "of_floor", 3), ("floor, ms", "floor_ms", 1), ("x the fp8 floor", "of_fp8_floor", 3),
           ("x flux-dist", "of_flux_dist", 2), ("peak, GiB", "peak_gib", 1), ("compiling, s", "compile_s", 0),
           ("SM, MHz", "sm_mhz", 0), ("W", "power_w", 0), ("note", "note", None))


def as_markdown(rows):
    def cell(row, field, digits):
        value = row[field]
        if value is None:
            return ""
        return (str(value) if digits is None else f"{value:.{digits}f}").replace("|", "\\|").replace("\n", " ")

    columns = [column for column in COLUMNS if any(row[column[1]] not in (None, "") for row in rows)]
    lines = [[heading for heading, _, _ in columns], ["---"] * len(columns)]
    lines += [[cell(row, field, digits) for _, field, digits in columns] for row in rows]
    sizes = sorted({row["size"] for row in rows})
    versions = sorted({row["versions"] for row in rows})
    text = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    return text + f"\n*A step of {' and '.join(sizes)} tokens of text, in bf16; {'; '.join(versions)}.*\n"


def as_csv(rows):
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def as_jsonl(rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


WRITERS = {"md": as_markdown, "csv": as_csv, "jsonl": as_jsonl}
