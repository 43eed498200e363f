"""What the benchmarks scripts/bench_step.py, bench_train.py and bench_generate.py share."""
