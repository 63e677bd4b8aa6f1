"""bench throughput on cards: what it says of them, and that the split still adds up where stages queue work on a device."""

import json
import sys
import unittest

import torch
from runtime.program import DEMO, PROGRAM, mpirun, run

if not torch.cuda.is_available():
    print("skipped: no CUDA device")
    sys.exit(77)

STAGES = ("queue", "encode", "transfer", "denoise", "decode", "write")


class ThroughputOnCards(unittest.TestCase):
    def check(self, *arguments, ranks):
        launcher = mpirun(ranks) if ranks > 1 else []
        result = run([*launcher, PROGRAM, "bench", "throughput", "--model", DEMO, "--device", "cuda", "--height", 128,
                      "--width", 128, "--num-prompts", 40, "--progress", "none", "--json", *arguments])
        self.assertEqual(result.returncode, 0, result.stderr)
        result = json.loads(result.stdout)
        self.assertEqual((result["completed_requests"], result["failed_requests"]), (40, 0))
        self.assertEqual(result["peak_memory_of"], "card")
        whole = torch.cuda.get_device_properties(0).total_memory / 2**20
        for rank in result["ranks"]:
            self.assertEqual(rank["card"], torch.cuda.get_device_name(0))
            self.assertGreater(rank["peak_memory_mb"], 1)
            self.assertLess(rank["peak_memory_mb"], whole)
        for request in result["requests"]:
            self.assertAlmostEqual(sum(request[stage] for stage in STAGES), request["latency"], places=9)
        for replica in result["replicas"]:
            self.assertGreater(replica["busy"], 0)
            self.assertAlmostEqual(replica["busy"] + sum(replica["idle_by_cause"].values()), result["duration"], places=9)
        return result

    def test_one_card(self):
        self.check(ranks=1)

    def test_replicas_with_a_rank_each(self):
        result = self.check("--replicas", 2, ranks=3)
        self.assertEqual({request["replica"] for request in result["requests"]}, {0, 1})

    def test_a_replica_of_two_ranks(self):
        transport = "nccl" if torch.cuda.device_count() > 1 else "mpi"
        result = self.check("--replicas", 1, "--transport", transport, "--scenario", "server", "--request-rate", 5, ranks=3)
        self.assertEqual(result["ranks"][1]["denoise_percent"], result["ranks"][2]["denoise_percent"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
