"""The model: `transformers`' Qwen3_5MoeForCausalLM with a next-token-prediction (MTP) block beside it.

The weights and the formulas are those of transformers. Two functions run in another order, which is what makes training
on a CPU bearable: the routed experts (tokens sorted by expert) and the gated delta rule (shorter chunks, one inverse).
"""

import torch
import torch.nn.functional as F
from torch import nn
from transformers import Qwen3_5MoeForCausalLM, Qwen3_5MoeTextConfig
from transformers.models.qwen3_5_moe import modeling_qwen3_5_moe as qwen

CONTEXT = 1024
CHUNK = 32


def configuration(vocabulary):
    return Qwen3_5MoeTextConfig(
        vocab_size=vocabulary, hidden_size=256, num_hidden_layers=6,
        layer_types=["linear_attention", "linear_attention", "full_attention"] * 2,
        num_attention_heads=4, num_key_value_heads=2, head_dim=64,
        linear_num_key_heads=2, linear_num_value_heads=4, linear_key_head_dim=64, linear_value_head_dim=64,
        linear_conv_kernel_dim=4,
        num_experts=8, num_experts_per_tok=2, moe_intermediate_size=128, shared_expert_intermediate_size=128,
        max_position_embeddings=CONTEXT, rms_norm_eps=1e-6, tie_word_embeddings=False, router_aux_loss_coef=0.01,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.25,
                         "mrope_interleaved": True, "mrope_section": [3, 3, 2]},
        attn_implementation="sdpa")


class Permute(torch.autograd.Function):
    """Rows in another order; backwards is the inverse order, much faster than a scattered addition."""

    @staticmethod
    def forward(ctx, rows, order, inverse):
        ctx.save_for_backward(inverse)
        return rows.index_select(0, order)

    @staticmethod
    def backward(ctx, gradient):
        (inverse,) = ctx.saved_tensors
        return gradient.index_select(0, inverse), None, None


def sorted_experts(self, hidden_states, top_k_index, top_k_weights):
    """Replaces `Qwen3_5MoeExperts.forward`: the same sum, with the tokens of one expert side by side."""
    tokens, k = top_k_index.shape
    chosen = top_k_index.reshape(-1)
    order = torch.argsort(chosen)
    inverse = torch.empty_like(order).scatter_(0, order, torch.arange(order.numel()))
    counts = torch.bincount(chosen, minlength=self.num_experts).tolist()
    rows = hidden_states.unsqueeze(1).expand(tokens, k, -1).reshape(tokens * k, -1)
    outputs = []
    for x, gate_up, down in zip(Permute.apply(rows, order, inverse).split(counts), self.gate_up_proj.unbind(0),
                                self.down_proj.unbind(0)):
        gate, up = F.linear(x, gate_up).chunk(2, dim=-1)
        outputs.append(F.linear(F.silu(gate) * up, down))
    restored = Permute.apply(torch.cat(outputs), inverse, order).view(tokens, k, -1)
    return (restored * top_k_weights.unsqueeze(-1)).sum(1)


class UnitTriangularInverse(torch.autograd.Function):
    """Inverse of I + (strictly lower part of) [..., C, C], by forward substitution over all matrices at once."""

    @staticmethod
    def forward(ctx, matrices):
        size = matrices.shape[-1]
        inverse = (-matrices.reshape(-1, size, size)).tril(-1)
        for row in range(1, size):
            inverse[:, row, :row] += (inverse[:, row:row + 1, :row] @ inverse[:, :row, :row]).squeeze(1)
        inverse = (inverse + torch.eye(size)).view(matrices.shape)
        ctx.save_for_backward(inverse)
        return inverse

    @staticmethod
    def backward(ctx, gradient):
        (inverse,) = ctx.saved_tensors
        return -(inverse.mT @ gradient @ inverse.mT).tril(-1)


@torch.autocast("cpu", enabled=False)
def chunked_delta_rule(query, key, value, g, beta, **_):
    """Replaces `torch_chunk_gated_delta_rule` for training, where every sequence starts with an empty state.

    query, key [B, T, Nk, d]; value [B, T, Nv, d]; g, beta [B, T, Nv] -> [B, T, Nv, d]. The algebra is that of Yang et al.,
    "Gated Delta Networks" (2024), section 3.3: inside a chunk of C tokens the new values solve a unit triangular system.
    """
    batch, length, key_heads, d = key.shape
    value_heads = value.shape[2]
    group, chunks = value_heads // key_heads, length // CHUNK
    assert length % CHUNK == 0
    query, key, value, g, beta = (x.float() for x in (query, key, value, g, beta))

    def in_chunks(x, heads):  # [B, T, heads, n] -> [B, heads, chunks, C, n]
        return x.reshape(batch, chunks, CHUNK, heads, -1).permute(0, 3, 1, 2, 4)

    def per_value_head(x):  # [B, Nk, ...] -> [B, Nv, ...]
        return x.unsqueeze(2).expand(-1, -1, group, *x.shape[2:]).reshape(batch, value_heads, *x.shape[2:])

    q, k = (in_chunks(x * torch.rsqrt(x.square().sum(-1, keepdim=True) + 1e-6), key_heads) for x in (query, key))
    v, beta = in_chunks(value, value_heads), in_chunks(beta, value_heads)
    total = in_chunks(g, value_heads).cumsum(3)  # [B, Nv, chunks, C, 1]: log decay since the start of the chunk
    upper = torch.ones(CHUNK, CHUNK, dtype=torch.bool).triu(1)
    decay = (total - total.mT).masked_fill(upper, float("-inf")).exp()
    within = per_value_head(q @ k.mT * d ** -0.5) * decay
    system = per_value_head(k @ k.mT) * (decay * beta)
    inverse = UnitTriangularInverse.apply(system)
    q, k = per_value_head(q), per_value_head(k)
    grown = total.exp()
    new_values = (inverse @ (v * beta)).flatten(0, 1).unbind(1)
    old_reads = (inverse @ (k * (beta * grown))).flatten(0, 1).unbind(1)
    queries = (q * (grown * d ** -0.5)).flatten(0, 1).unbind(1)
    keys = (k * (total[:, :, :, -1:] - total).exp()).mT.flatten(0, 1).unbind(1)
    last = grown[:, :, :, -1:].flatten(0, 1).unbind(1)
    within = within.flatten(0, 1).unbind(1)
    outputs, state = [], torch.zeros(batch * value_heads, d, d)
    for i in range(chunks):
        written = torch.baddbmm(new_values[i], old_reads[i], state, alpha=-1)
        outputs.append(torch.baddbmm(torch.bmm(queries[i], state), within[i], written))
        state = torch.baddbmm(state * last[i], keys[i], written)
    output = torch.stack(outputs, 1).view(batch, value_heads, length, d)
    return output.transpose(1, 2), None


class NextTokenPrediction(nn.Module):
    """Predicts token t+2 from the trunk's normed state at t and the embedding of token t+1.

    Names as in the published Qwen3.5 checkpoints (`mtp.*`); the formula is that of the DeepSeek-V3 report (section 2.2)
    with one decoder block of full attention.
    """

    def __init__(self, config):
        super().__init__()
        block = Qwen3_5MoeTextConfig(**{**config.to_dict(), "num_hidden_layers": 1, "layer_types": ["full_attention"]})
        block._attn_implementation = config._attn_implementation
        self.fc = nn.Linear(2 * config.hidden_size, config.hidden_size, bias=False)
        self.pre_fc_norm_embedding = qwen.Qwen3_5MoeRMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.pre_fc_norm_hidden = qwen.Qwen3_5MoeRMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.layers = nn.ModuleList([qwen.Qwen3_5MoeDecoderLayer(block, 0)])
        self.norm = qwen.Qwen3_5MoeRMSNorm(config.hidden_size, eps=config.rms_norm_eps)

    def forward(self, embeddings, hidden, rotary):
        """`embeddings` of tokens t+1 and `hidden` of tokens t, both [batch, T, hidden] -> normed states, same shape."""
        x = self.fc(torch.cat([self.pre_fc_norm_embedding(embeddings), self.pre_fc_norm_hidden(hidden)], dim=-1))
        positions = torch.arange(x.shape[1]).expand(3, x.shape[0], -1)
        # Without a mask the attention of transformers is causal.
        return self.norm(self.layers[0](x, position_embeddings=rotary(x, positions), attention_mask=None))


def accelerate():
    """Puts the two fast functions in place; for training only (no cache, lengths that are multiples of CHUNK)."""
    qwen.Qwen3_5MoeExperts.forward = sorted_experts
    qwen.torch_chunk_gated_delta_rule = chunked_delta_rule


def build(config):
    """The trunk with language head, and the MTP block as its attribute `mtp`."""
    model = Qwen3_5MoeForCausalLM(config)
    model.mtp = NextTokenPrediction(config)
    model.mtp.apply(model._init_weights)
    return model


def logits(model, ids):
    """ids [batch, T] -> logits [batch, T, vocabulary] and the normed states [batch, T, hidden]."""
    hidden = model.model(ids, use_cache=False).last_hidden_state
    return model.lm_head(hidden), hidden


def mtp_logits(model, ids, hidden):
    """Row t predicts token t+2; ids and hidden as in `logits`, result [batch, T-1, vocabulary]."""
    return model.lm_head(model.mtp(model.model.embed_tokens(ids[:, 1:]), hidden[:, :-1], model.model.rotary_emb))
