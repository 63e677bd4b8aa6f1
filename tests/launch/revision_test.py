"""Which commit a build says it is of (.cmake/revision.cmake): a clone, a changed one, a tarball, neither."""

import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

SOURCE = pathlib.Path(os.environ["FLUX_SOURCE_DIR"])
CMAKE = pathlib.Path(os.environ["FLUX_PYTHON"]).parent / "cmake"


def run(*command, **options):
    result = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=True, **options)
    return result.stdout.strip()


@unittest.skipIf(shutil.which("git") is None, "there is no git here")
class Revision(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.clone = self.folder / "clone"
        shutil.copytree(SOURCE / ".cmake", self.clone / ".cmake")
        (self.clone / "model").mkdir()
        (self.clone / "model/a.cc").write_text("int a;\n")
        self.git("init", "-q")
        self.git("add", ".")
        self.git("-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "first")
        self.commit = self.git("rev-parse", "HEAD")[:12]

    def git(self, *arguments):
        return run("git", "-C", self.clone, *arguments)

    def revision(self, source):
        output = self.folder / "revision.cc"
        run(CMAKE, f"-DSOURCE={source}", "-DVERSION=1.2.3", f"-DOUTPUT={output}", "-P", source / ".cmake/revision.cmake")
        text = output.read_text()
        self.assertIn('program_version = "1.2.3"', text)
        return re.search('program_revision = "(.*)"', text)[1]

    def unpacked(self, folder):
        """As `git archive` hands it out."""
        folder.mkdir(parents=True)
        archive = self.folder / "archive.tar"
        self.git("archive", "-o", archive, "HEAD")
        shutil.unpack_archive(archive, folder)
        return folder

    def test_a_clone_says_its_commit_and_that_it_was_changed(self):
        self.assertEqual(self.revision(self.clone), self.commit)
        (self.clone / "notes").write_text("not compiled")
        self.assertEqual(self.revision(self.clone), self.commit)
        (self.clone / "model/b.cc").write_text("int b;\n")
        self.assertEqual(self.revision(self.clone), self.commit + "-dirty")
        (self.clone / "model/b.cc").unlink()
        (self.clone / "model/a.cc").write_text("int c;\n")
        self.assertEqual(self.revision(self.clone), self.commit + "-dirty")

    def test_a_tarball_says_the_commit_that_it_was_made_of(self):
        self.assertEqual(self.revision(self.unpacked(self.folder / "tarball")), self.commit)

    def test_a_tarball_inside_another_repository_is_not_that_ones(self):
        (self.clone / "later").write_text("another commit\n")
        tarball = self.unpacked(self.clone / "third_party/flux-dist")
        self.git("add", "later")
        self.git("-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "second")
        self.assertEqual(self.revision(tarball), self.commit)

    def test_sources_that_nobody_knows_say_so(self):
        copy = self.folder / "copy"
        shutil.copytree(self.clone, copy, ignore=shutil.ignore_patterns(".git"))
        self.assertEqual(self.revision(copy), "unknown")

    def test_what_says_nothing_new_is_not_written_again(self):
        self.revision(self.clone)
        os.utime(self.folder / "revision.cc", (1, 1))
        self.revision(self.clone)
        self.assertEqual((self.folder / "revision.cc").stat().st_mtime, 1)


if __name__ == "__main__":
    unittest.main()
