"""collectives: no wrong element over MPI and threads, the rows asked for, JSON, refusals."""

import json
import unittest

import support


class Collectives(unittest.TestCase):
    def test_no_wrong_element(self):
        for ranks in (1, 2, 3, 4, 8):
            most = 4096 if ranks == 8 else 1 << 20  # the last size is the largest, whatever the step
            done = support.call("collectives", "--max_bytes", most, "--step_factor", 16, "--iters", 2, "--thread_ranks", f"1,{ranks}",
                                "--json", ranks=ranks)
            told = json.loads(done.stdout)
            sizes = sorted({most, *(8 * 16**n for n in range(9) if 8 * 16**n <= most)})
            self.assertEqual((4 + 6 + 6) * 3 * len(sizes), len(told["rows"]))
            self.assertEqual(4 * 3 * sizes, [row["bytes"] for row in told["rows"] if row["collective"] == "sum"])
            self.assertEqual(0, told["wrong_elements"])
            self.assertEqual({("single" if ranks == 1 else "mpi", ranks), ("threads", 1), ("threads", ranks)},
                             {(row["backend"], row["ranks"]) for row in told["rows"]})
            for row in told["rows"]:
                self.assertEqual(0, row["wrong_elements"], row)
                n = row["ranks"]
                factor = {"sum": 2 * (n - 1) / n, "all_gather": (n - 1) / n, "broadcast": 1}[row["collective"]]
                self.assertAlmostEqual(row["bytes"] / row["seconds"], row["algorithm_bandwidth"], delta=1e-6 * row["algorithm_bandwidth"])
                self.assertAlmostEqual(row["algorithm_bandwidth"] * factor, row["bus_bandwidth"], delta=1e-6 * row["algorithm_bandwidth"])

    def test_a_table(self):
        lines = support.call("collectives", "--max_bytes", 8, "--collectives", "sum", "--types", "int64,uint8").stdout.splitlines()
        self.assertEqual(2, len(lines))
        self.assertEqual(["single", "1", "sum", "int64", "8"], lines[1].split()[:5])
        self.assertEqual("0", lines[1].split()[-1])

    def test_sums_are_predicted_for_links_of_given_figures(self):
        words = ("collectives", "--max_bytes", 512, "--types", "int64", "--link_latency", 0.001, "--link_bandwidth", 1e6, "--json")
        for row in json.loads(support.call(*words, ranks=2).stdout)["rows"]:
            self.assertEqual({"sum": 0}.get(row["collective"]), row.get("predicted_seconds"))  # on one node no link is used

    def test_refusals(self):
        for words, text in ((("--link_latency", 0.1), "belong together"),
                            (("--min_bytes", 4), "min_bytes"), (("--min_bytes", 64, "--max_bytes", 32), "--max_bytes 32 is less"),
                            (("--types", "int6"), "'int6' is not one of"), (("--collectives", "gather"), "'gather' is not one of"),
                            (("--thread_ranks", 65), "65 is not 1 to 64")):
            self.assertIn(text, support.call("collectives", *words, code=2).stderr)


if __name__ == "__main__":
    unittest.main()
