"""The recipe engine: data sets from download to score. Standard library only; fairseq, torch and
the plugin run as child processes."""
