"""bench throughput on cards: what it says of them, and that the split still adds up where stages queue work on a device."""

import json
import unittest

from runtime import cards

cards.require()

import torch
from runtime.program import DEMO, PROGRAM, mpirun, run


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
        self.check_energy(result, ranks)
        return result

    def check_energy(self, result, ranks):
        """Each card once, however many ranks share it; what ranks of one card say is the same."""
        said = {rank["card_energy_joules"] for rank in result["ranks"]}
        self.assertTrue(1 <= result["cards"] <= min(ranks, torch.cuda.device_count()), result["cards"])
        if 0 not in said:  # a counter may stand still for a tenth of a second
            self.assertEqual(len(said), result["cards"])
        self.assertAlmostEqual(result["energy_joules"], sum(said), places=6)
        self.assertAlmostEqual(result["energy_per_image_joules"], result["energy_joules"] / 40, places=6)
        self.assertAlmostEqual(result["mean_power_watts"], result["energy_joules"] / result["duration"], places=6)

    def test_one_card(self):
        self.check(ranks=1)

    def test_energy(self):
        """Over some seconds, in which cards are idle too: what a card draws."""
        result = self.check("--scenario", "server", "--request-rate", 10, "--burstiness", 100, ranks=2)
        self.assertGreater(result["duration"], 3)
        self.assertGreater(result["energy_joules"], 0)
        watts = result["mean_power_watts"] / result["cards"]
        self.assertTrue(20 < watts < 1500, watts)

    def test_replicas_with_a_rank_each(self):
        result = self.check("--replicas", 2, ranks=3)
        self.assertEqual({request["replica"] for request in result["requests"]}, {0, 1})

    def test_a_replica_of_two_ranks(self):
        transport = "nccl" if torch.cuda.device_count() > 1 else "mpi"
        result = self.check("--replicas", 1, "--transport", transport, "--scenario", "server", "--request-rate", 5, ranks=3)
        self.assertEqual(result["ranks"][1]["denoise_percent"], result["ranks"][2]["denoise_percent"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
