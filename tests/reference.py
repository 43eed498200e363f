"""TeaForN straight from its formula: one sentence, one slot, one label at a time.

Runs the stock decoder's own ``forward`` without padding and without our code; an input vector
enters it by way of an embedding table that holds just these vectors, and the features leave it by
way of an output projection that changes nothing. A language model is a decoder alone: what stands
for the source of a pair is the stream that it reads.
"""

from contextlib import contextmanager

import torch


def loss(model, sample, weights, eps=0.0, given=None, **unroll):
    """- sum_i lambda_i sum_t log p_t^(i)[y_t], smoothed as fairseq smooths, in nats.

    Labels y_1..y_K do not count, K = given(target) or 0.
    """
    total, decoder = 0.0, model.decoder
    for source, target in sentences(model, sample):
        num_given = given(target) if given else 0
        unrolled = steps(model, source, target, len(weights), num_given, **unroll)
        for ahead, (weight, features) in enumerate(zip(weights, unrolled, strict=True)):
            first = ahead if unroll.get("shifted") else 0
            # Nothing is beyond the last one.
            for t, (h, label) in enumerate(zip(features, target[first:], strict=False), first + 1):
                if t > num_given and label != decoder.dictionary.pad():
                    total = total + weight * label_loss(decoder.output_projection(h), label, eps)
    return total


def sentences(model, sample):
    """Each pair of the batch without its padding; a stream's last slots may have no label."""
    pad = model.decoder.dictionary.pad()
    for source, target in zip(sample["net_input"]["src_tokens"], sample["target"], strict=True):
        slots = target if has_encoder(model) else source
        yield source[source != pad], target[slots != pad]


def has_encoder(model):
    return hasattr(model, "encoder")


def encode(model, source):
    return model.encoder(source[None], torch.tensor([len(source)])) if has_encoder(model) else None


def label_loss(logits, label, eps):
    """(1 - eps) on the label, eps spread over the V - 1 others."""
    log_p = logits - torch.logsumexp(logits, dim=-1)
    others = eps / (len(logits) - 1)
    total = 0.0
    for word in range(len(logits)):
        total = total - (1 - eps if word == label else others) * log_p[word]
    return total


def steps(
    model,
    source,
    target,
    num_steps,
    num_given=0,
    feedback=None,
    shifted=False,
    mix=1.0,
    draws_behind=0,
):
    """h_1..h_L of each step; random choices are drawn in the order: feedback, then mix.

    The mix is drawn for the slots behind the first ``draws_behind`` alone.

    aligned:  h^(i) = M(e_0, f(h_1^(i-1)), ..., f(h_{L-1}^(i-1)))
    shifted:  h^(i) = M(f(h_1^(i-1)), ..., f(h_L^(i-1))), i - 1 positions further
    in both   a slot that stands for one of w_1..w_K reads its gold embedding, K = num_given
    """
    encoder_out = encode(model, source)
    decoder, length = model.decoder, len(target)
    tokens = decoder_input(decoder, target) if has_encoder(model) else source
    gold = [decoder.embed_scale * decoder.embed_tokens(w) for w in tokens]
    features = run(decoder, gold, encoder_out)
    yield features
    for step in range(1, num_steps):
        own = getattr(model, "unshared_decoder", None) or decoder
        fed_back = feedback(decoder, features) if feedback else list(features)
        ahead = step if shifted else 0
        here = gold[ahead:] + [torch.zeros_like(gold[0])] * min(ahead, length)
        slots = fed_back if shifted else [gold[0], *fed_back[:-1]]
        if mix < 1:
            takes = torch.zeros(length, dtype=torch.bool)
            takes[draws_behind:] = torch.rand(1, length - draws_behind)[0] < mix
            slots = [
                slots[t] if takes[t] or (t == 0 and not shifted) else here[t] for t in range(length)
            ]
        slots = [here[t] if 0 < t + ahead <= num_given else slots[t] for t in range(length)]
        with swapped(decoder, "layers", own.layers), swapped(decoder, "layer_norm", own.layer_norm):
            features = run(decoder, slots, encoder_out, ahead)
        yield features


def hidden_detached(decoder, features):
    """h without its gradient."""
    return list(features.detach())


def topk(k, detach=False):
    """sum over the k likeliest w of p[w] E(w), divided by their summed probability."""

    def feedback(decoder, features):
        fed_back = []
        for p in decoder.output_projection(features).softmax(-1):
            p = p.detach() if detach else p
            words = sorted(range(len(p)), key=lambda w: -p[w].item())[: k or len(p)]
            expected = sum(p[w] * row(decoder, w) for w in words) / sum(p[w] for w in words)
            fed_back.append(expected)
        return fed_back

    return feedback


def gumbel(tau, hard=False, detach=False):
    """E-weighted softmax((log p + noise) / tau), or one word with this gradient."""

    def feedback(decoder, features):
        log_p = decoder.output_projection(features).log_softmax(-1)
        noise = -torch.empty(1, *log_p.shape, dtype=log_p.dtype).exponential_().log()[0]
        fed_back = []
        for g in ((log_p + noise) / tau).softmax(-1):
            g = g.detach() if detach else g
            if hard:
                g = torch.nn.functional.one_hot(g.argmax(), len(g)) + g - g.detach()
            fed_back.append(sum(g[w] * row(decoder, w) for w in range(len(g))))
        return fed_back

    return feedback


def argmax(decoder, features):
    """E of the likeliest word."""
    return [lookup(decoder, p.argmax()) for p in decoder.output_projection(features)]


def sample(decoder, features):
    """E of a word drawn from p."""
    words = torch.multinomial(decoder.output_projection(features).float().softmax(-1), 1)
    return [lookup(decoder, word) for word in words[:, 0]]


def row(decoder, word):
    """E(w) as a row of the table, whose padding row is like any other."""
    return decoder.embed_scale * decoder.embed_tokens.weight[word]


def lookup(decoder, word):
    """E(w) as the decoder looks it up."""
    return decoder.embed_scale * decoder.embed_tokens(word)


def free_running(model, source, target, num_given=0):
    """Slot after slot, each reading the final state of the one before."""
    encoder_out = encode(model, source)
    decoder = model.decoder
    tokens = decoder_input(decoder, target) if has_encoder(model) else source
    gold = [decoder.embed_scale * decoder.embed_tokens(w) for w in tokens]
    slots = gold[:1]
    for t in range(1, len(target) + 1):
        features = run(decoder, slots, encoder_out)
        slots.append(gold[t] if t <= min(num_given, len(gold) - 1) else features[-1])
    return features


def decoder_input(decoder, target):
    """w_0..w_{L-1}: eos, then the target without its last token."""
    return torch.cat([torch.tensor([decoder.dictionary.eos()]), target[:-1]])


def run(decoder, slots, encoder_out, ahead=0):
    """M over the vectors in the slots, as (L, C), some positions further than usual."""
    with (
        input_vectors(decoder, torch.stack(slots)) as tokens,
        positions_ahead(decoder, ahead),
        swapped(decoder, "output_projection", torch.nn.Identity()),
    ):
        return decoder(tokens, encoder_out=encoder_out)[0][0]


@contextmanager
def input_vectors(decoder, vectors):
    """Make the stock decoder read these vectors (L, C) when it looks up the tokens (1, L)."""
    first = decoder.dictionary.pad() + 1  # no token is padding
    table = torch.nn.Module()
    table.forward = lambda tokens: vectors[tokens - first] / decoder.embed_scale
    with swapped(decoder, "embed_tokens", table):
        yield torch.arange(first, first + len(vectors)).unsqueeze(0)


@contextmanager
def positions_ahead(decoder, ahead):
    """Make the stock decoder count positions from this many slots on; beyond L there is none."""
    stock = decoder.embed_positions
    moved = torch.nn.Module()
    moved.forward = lambda tokens, incremental_state=None: torch.cat(
        [stock(tokens)[:, ahead:], 0 * stock(tokens)[:, :ahead]], dim=1
    )
    with swapped(decoder, "embed_positions", stock and moved):
        yield


@contextmanager
def swapped(decoder, name, module):
    before = getattr(decoder, name)
    setattr(decoder, name, module)
    try:
        yield
    finally:
        setattr(decoder, name, before)
