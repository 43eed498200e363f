"""A pickle that runs a program, and a torch that would let it."""

import functools
import os

import torch


class Program:
    """Its pickle runs a shell command when it is loaded."""

    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def torch_before_2_6(monkeypatch):
    """torch.load with the default that it had: unsafe, unless PyTorch's switch says otherwise."""
    monkeypatch.setattr(torch, "load", functools.partial(torch.load, weights_only=False))
