"""The scripts that set a machine up: what they refuse, and what a build without CUDA and an installation hold."""

import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

SOURCE = pathlib.Path(os.environ["FLUX_SOURCE_DIR"])
VENV = pathlib.Path(os.environ["FLUX_PYTHON"]).parent.parent
NOBODY = 65534


def run(*command, **environment):
    return subprocess.run(
        [str(word) for word in command], env={**os.environ, **environment}, capture_output=True, text=True
    )


class Setup(unittest.TestCase):
    """launch/setup.sh beside programs that answer as another machine's would."""

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.folder.chmod(0o755)
        self.addCleanup(shutil.rmtree, self.folder)
        shutil.copytree(SOURCE / "launch", self.folder / "launch")
        (self.folder / "bin").mkdir()

    def pretend(self, program, answer):
        path = self.folder / "bin" / program
        path.write_text(f"#!/bin/sh\n{answer}\n")
        path.chmod(0o755)

    def setup(self, *prefix, arguments=(), **environment):
        environment["PATH"] = f"{self.folder}/bin:{os.environ['PATH']}"
        environment["FLUX_VENV"] = str(self.folder / "venv")
        environment["FLUX_BUILD"] = str(self.folder / "build")
        return run(*prefix, self.folder / "launch/setup.sh", *arguments, **environment)

    def refused(self, result, words):
        self.assertEqual(result.returncode, 2, result.stderr)
        self.assertEqual(len(result.stderr.splitlines()), 1, result.stderr)
        self.assertIn(words, result.stderr)
        self.assertFalse((self.folder / "venv").exists())

    def test_an_old_driver_is_one_line(self):
        self.pretend("nvidia-smi", "echo '535.104.05, 8.0, NVIDIA A100'")
        self.refused(self.setup(FLUX_CUDA="ON"), "driver 535.104.05 is older than 580")

    def test_an_old_card_is_one_line(self):
        self.pretend("nvidia-smi", "echo '580.65.06, 7.0, Tesla V100-SXM2-16GB'")
        self.refused(self.setup(FLUX_CUDA="ON"), "Tesla V100-SXM2-16GB has compute capability 7.0")

    def test_an_unknown_choice_is_one_line(self):
        self.refused(self.setup(FLUX_CUDA="yes"), "FLUX_CUDA=yes")

    def test_without_root_the_missing_packages_are_named(self):
        there = " -a ".join(f"$4 != {name}" for name in ("libspdlog-dev", "mold", "slurm-wlm", "chromium-headless-shell"))
        self.pretend("dpkg-query", f"test {there} && echo 'ii '")
        debian = "ID=debian" in pathlib.Path("/etc/os-release").read_text().splitlines()
        tests = "libspdlog-dev mold chromium-headless-shell slurm-wlm" if debian else "libspdlog-dev mold slurm-wlm"
        drop = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"] if os.getuid() == 0 else []
        for arguments, named in [((), "libspdlog-dev mold"), (("tests",), tests)]:
            with self.subTest(arguments=arguments):
                result = self.setup(*drop, arguments=arguments, FLUX_CUDA="OFF")
                self.refused(result, f"give --user, or as root: apt-get install --no-install-recommends {named}\n")

    def test_nothing_is_listed_without_a_version(self):
        for name in ["wheels", "cuda", "tests"]:
            for line in (SOURCE / f"launch/packages/{name}.txt").read_text().splitlines():
                self.assertRegex(line, r"^(#.*|[A-Za-z0-9_.-]+==[0-9][^ ]*(  # [0-9]+)?)$")


class Structure(unittest.TestCase):
    """tests/structure.sh sees an arrow that goes back."""

    def broken(self, path, text):
        with tempfile.TemporaryDirectory() as folder:
            for room in ["parallel", "model", "runtime", "launch", "tests"]:
                (pathlib.Path(folder) / room).mkdir()
            (pathlib.Path(folder) / path).write_text(text)
            return run(SOURCE / "tests/structure.sh", folder)

    def test_arrows_and_sizes(self):
        for path, text, words in [
            ("parallel/a.h", '#include "model/request.h"\n', "parallel includes a higher room"),
            ("model/a.cc", "#  include <runtime/options.h>\n", "model includes a higher room"),
            ("runtime/a.cc", '#include "launch/verb.h"\n', "runtime includes a higher room"),
            ("runtime/a.cc", "#include <mpi.h>\n", "MPI and NCCL headers belong in parallel"),
            ("launch/a.cc", '#include "runtime/options.pb.h"\n', "protobuf's headers belong in runtime"),
            ("model/a.cu", "#include <ATen/ATen.h>\n", "kernels see raw pointers"),
            ("tests/a.py", "\n" * 401, "400 at most"),
            ("model/string_utils.h", "", "a name that says nothing"),
            ("tests/helpers.py", "", "a name that says nothing"),
        ]:
            with self.subTest(words):
                result = self.broken(path, text)
                self.assertEqual(result.returncode, 1)
                self.assertIn(words, result.stdout)
        for path, text in [("launch/a.cc", '#include "model/request.h"\n'), ("runtime/commonly.h", "")]:
            self.assertEqual(self.broken(path, text).returncode, 0)


class Build(unittest.TestCase):
    def test_without_cuda_nothing_of_it_is_linked(self):
        with tempfile.TemporaryDirectory() as folder:
            cmake = VENV / "bin/cmake"
            result = run(cmake, "-G", "Ninja", "-S", SOURCE, "-B", folder, f"-DFLUX_VENV={VENV}", "-DFLUX_CUDA=OFF",
                         f"-DCMAKE_MAKE_PROGRAM={VENV}/bin/ninja")
            self.assertEqual(result.returncode, 0, result.stderr)
            rules = (pathlib.Path(folder) / "build.ninja").read_text()
            self.assertIn("libtorch_cpu.so", rules)
            for library in ["libtorch_cuda", "libc10_cuda", "libnccl", "libcudart", "nvcc"]:
                self.assertNotIn(library, rules)


    def test_without_tests_no_googletest_is_looked_for(self):
        with tempfile.TemporaryDirectory() as folder:
            settings = ["-DFLUX_CUDA=OFF", f"-DCMAKE_MAKE_PROGRAM={VENV}/bin/ninja", f"-DFLUX_VENV={VENV}",
                        "-DCMAKE_DISABLE_FIND_PACKAGE_GTest=ON"]
            configure = [VENV / "bin/cmake", "-G", "Ninja", "-S", SOURCE, "-B", folder, *settings]
            result = run(*configure, "-DBUILD_TESTING=OFF")
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertNotIn("test_model", (pathlib.Path(folder) / "build.ninja").read_text())
            self.assertIn("GTest", run(*configure, "-DBUILD_TESTING=ON").stderr)


class Installation(unittest.TestCase):
    def test_runs_from_anywhere_beside_a_venv(self):
        build = pathlib.Path(os.environ["FLUX_DIST"]).parent.parent
        with tempfile.TemporaryDirectory() as folder:
            first, moved = pathlib.Path(folder) / "first", pathlib.Path(folder) / "moved"
            installed = run(VENV / "bin/cmake", "--install", build, "--prefix", first)
            self.assertEqual(installed.returncode, 0, installed.stderr)
            first.rename(moved)
            libraries = {path.name.split(".so")[0] for path in (moved / "lib").iterdir()}
            self.assertLessEqual({"libfmt", "libprometheus-cpp-core", "libsentencepiece", "libutf8proc", "libpng16", "libjpeg"}, libraries)
            self.assertNotIn("libmpi", libraries)
            self.assertTrue((moved / "lib/gcc/libstdc++.so.6").exists())
            self.assertTrue((moved / "configs/demo.textproto").exists())

            program = moved / "bin/flux-dist"
            self.assertEqual(run(program, "--help", FLUX_VENV=str(VENV)).returncode, 0)
            lost = run(program, "--help", FLUX_VENV="/nowhere")
            self.assertEqual(lost.returncode, 2)
            self.assertIn("FLUX_VENV=/nowhere", lost.stderr)

    @unittest.skipIf(os.confstr("CS_GNU_LIBC_VERSION").split()[1] > "2.36", "glibc here is newer than Debian 12's")
    def test_asks_for_glibc_2_34(self):
        """And for the libstdc++ of GCC 11, which came with it; only lib/gcc may be newer."""
        build = pathlib.Path(os.environ["FLUX_DIST"]).parent.parent
        with tempfile.TemporaryDirectory() as folder:
            run(VENV / "bin/cmake", "--install", build, "--prefix", folder)
            files = [pathlib.Path(folder) / "libexec/flux-dist", *pathlib.Path(folder).glob("lib/*.so*")]
            self.assertGreater(len(files), 5)
            for file in files:
                symbols = run("objdump", "-T", file).stdout
                for library, newest in (("GLIBC", (2, 34)), ("GLIBCXX", (3, 4, 29))):
                    asked = [tuple(map(int, v.split("."))) for v in re.findall(rf"\({library}_([0-9.]+)\)", symbols)]
                    self.assertLessEqual(max(asked, default=newest), newest, file.name)


if __name__ == "__main__":
    unittest.main(verbosity=2)
