"""Lets PyTorch's safe loader read what fairseq writes into its own checkpoints.

Since torch 2.6 ``torch.load`` accepts only tensors, plain containers and allow-listed classes.
fairseq stores the model's options as an ``argparse.Namespace``: without it on the list, resuming
and ``fairseq-generate`` fail. Nothing else is allowed, so a checkpoint that carries any other
object is still refused before its code could run.
"""

import argparse

import torch

torch.serialization.add_safe_globals([argparse.Namespace])
