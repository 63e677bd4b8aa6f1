"""Several of the references beside this file, two at once, each into the folder of its name: `all.py OUTDIR NAME...`. What
they import for seconds is imported once, before each gets a process of its own."""

import os
import runpy
import sys
from pathlib import Path

import bitsandbytes  # noqa: F401
import diffusers  # noqa: F401
import transformers  # noqa: F401
from diffusers import FluxPipeline  # noqa: F401
from transformers import CLIPTextModel, T5EncoderModel  # noqa: F401


def begin(name: str, out: Path) -> int:
    process = os.fork()
    if process:
        return process
    script = Path(__file__).with_name(f"{name}.py")
    sys.argv = [str(script), str(out / name)]
    try:
        runpy.run_path(str(script), run_name="__main__")
    except BaseException:
        sys.excepthook(*sys.exc_info())
        os._exit(1)
    sys.stdout.flush()
    os._exit(0)


def main(out: Path, names: list[str]) -> int:
    under_way: dict[int, str] = {}
    failed = []
    waiting = list(names)
    while waiting or under_way:
        while waiting and len(under_way) < 2:
            name = waiting.pop(0)
            under_way[begin(name, out)] = name
        process, status = os.wait()
        if status:
            failed.append(under_way[process])
        del under_way[process]
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
