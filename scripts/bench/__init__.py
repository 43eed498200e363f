"""What the benchmarks scripts/bench_step.py and scripts/bench_generate.py share."""
