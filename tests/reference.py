"""TeaForN straight from its formula: one sentence, one slot, one label at a time.

Runs the stock decoder's own ``extract_features`` without padding and without our code; an input
vector enters it by way of an embedding table that holds just these vectors.
"""

from contextlib import contextmanager

import torch


def loss(model, sample, weights, eps=0.0):
    """- sum_i lambda_i sum_t log p_t^(i)[y_t], smoothed as fairseq smooths, in nats."""
    total = 0.0
    for source, target in sentences(model, sample):
        for weight, features in zip(
            weights, steps(model, source, target, len(weights)), strict=True
        ):
            for h, label in zip(features, target, strict=True):
                total = total + weight * label_loss(model.decoder.output_layer(h), label, eps)
    return total


def sentences(model, sample):
    """Each pair of the batch without its padding."""
    pad = model.decoder.padding_idx
    for source, target in zip(sample["net_input"]["src_tokens"], sample["target"], strict=True):
        yield source[source != pad], target[target != pad]


def label_loss(logits, label, eps):
    """(1 - eps) on the label, eps spread over the V - 1 others."""
    log_p = logits - torch.logsumexp(logits, dim=-1)
    others = eps / (len(logits) - 1)
    total = 0.0
    for word in range(len(logits)):
        total = total - (1 - eps if word == label else others) * log_p[word]
    return total


def steps(model, source, target, num_steps):
    """h_1..h_L of each step, from h^(i) = M(e_0, f(h_1^(i-1)), ..., f(h_{L-1}^(i-1)))."""
    encoder_out = model.encoder(source.unsqueeze(0), torch.tensor([len(source)]))
    decoder, length = model.decoder, len(target)
    gold = [decoder.embed_scale * decoder.embed_tokens(w) for w in decoder_input(decoder, target)]
    features = run(decoder, gold, encoder_out)
    yield features
    for _ in range(1, num_steps):
        slots = [gold[0]] + [features[t - 1] for t in range(1, length)]
        features = run(decoder, slots, encoder_out)
        yield features


def free_running(model, source, target):
    """Slot after slot, each reading the final state of the one before."""
    encoder_out = model.encoder(source.unsqueeze(0), torch.tensor([len(source)]))
    decoder = model.decoder
    slots = [decoder.embed_scale * decoder.embed_tokens(decoder_input(decoder, target)[0])]
    for _ in target:
        features = run(decoder, slots, encoder_out)
        slots.append(features[-1])
    return features


def decoder_input(decoder, target):
    """w_0..w_{L-1}: eos, then the target without its last token."""
    return torch.cat([torch.tensor([decoder.dictionary.eos()]), target[:-1]])


def run(decoder, slots, encoder_out):
    """M over the vectors in the slots, as (L, C)."""
    with input_vectors(decoder, torch.stack(slots)) as tokens:
        return decoder.extract_features(tokens, encoder_out)[0][0]


@contextmanager
def input_vectors(decoder, vectors):
    """Make the stock decoder read these vectors (L, C) when it looks up the tokens (1, L)."""
    table = torch.nn.Module()
    first = decoder.padding_idx + 1  # no token is padding
    table.forward = lambda tokens: vectors[tokens - first] / decoder.embed_scale
    embed_tokens, decoder.embed_tokens = decoder.embed_tokens, table
    try:
        yield torch.arange(first, first + len(vectors)).unsqueeze(0)
    finally:
        decoder.embed_tokens = embed_tokens
