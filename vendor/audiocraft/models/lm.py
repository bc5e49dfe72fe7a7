"""The language model: a transformer that predicts the tokens of the next step of a pattern.

Copet et al., "Simple and Controllable Music Generation", 2023.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from audiocraft.models.checkpoints import Checkpoint
from audiocraft.models.decoding import Decoder, Decoding, Fuser, Heard, Plan, Rows, plainly
from audiocraft.models.fused_lm import FusedLM
from audiocraft.modules.causal import CausalConfig, CausalTransformer
from audiocraft.modules.codebooks_patterns import CodebooksPatternProvider
from audiocraft.modules.conditioners import (
    Condition,
    ConditioningAttributes,
    ConditioningProvider,
)
from audiocraft.modules.sampling import Choice

ConditionTensors = Mapping[str, Condition]
"""`[B, S, dim]` and its mask `[B, S]` by the name of the attribute; zeros where there is none."""

OnStep = Callable[[int, int], None]

_UNKNOWN = -1

_STEPS_AHEAD = 16
"""How many steps may be asked of a device before it has done them: progress stays true."""


@dataclass(frozen=True, kw_only=True)
class LMConfig(CausalConfig):
    """Shape of a language model.

    Attributes:
        n_q: codebooks.
        card: tokens of each; one more stands for none.
        cfg_coef: strength of guidance; 1 follows the conditions as they are.
        two_step_cfg: evaluate rows with and without conditions one after the other.
    """

    n_q: int = 4
    card: int = 2048
    cfg_coef: float = 3.0
    two_step_cfg: bool = False


@dataclass(frozen=True)
class LMOutput:
    """Predictions.

    Attributes:
        logits: `[B, K, T, card]`, NaN where a pattern leaves none.
        mask: `[B, K, T]`, where there are any.
    """

    logits: Tensor
    mask: Tensor


class LMModel(nn.Module):
    """Distribution of the next tokens of `n_q` codebooks under conditions.

    Attributes:
        cfg: what the file it comes from says of it, None where it comes from none.
        decoding: how a run goes from step to step: `naive`, or what `fuse` has put there.
    """

    def __init__(
        self,
        config: LMConfig,
        pattern_provider: CodebooksPatternProvider,
        condition_provider: ConditioningProvider,
        fuser: Fuser,
    ) -> None:
        """Put the parts together.

        Raises:
            ValueError: the pattern is one of other codebooks.
        """
        super().__init__()
        if pattern_provider.n_q != config.n_q:
            raise ValueError(f"the pattern has {pattern_provider.n_q} codebooks, not {config.n_q}")
        self.config, self.fuser = config, fuser
        self.pattern_provider = pattern_provider
        self.condition_provider = condition_provider
        self.cfg_coef, self.two_step_cfg = config.cfg_coef, config.two_step_cfg
        width = config.card + 1
        self.emb = nn.ModuleList(nn.Embedding(width, config.dim) for _ in range(config.n_q))
        self.transformer = CausalTransformer(config)
        self.out_norm = nn.LayerNorm(config.dim)
        self.linears = nn.ModuleList(
            nn.Linear(config.dim, config.card, bias=False) for _ in range(config.n_q)
        )
        self.cfg: Checkpoint | None = None
        self.decoding: Decoding = self.naive

    @property
    def n_q(self) -> int:
        """Codebooks."""
        return self.config.n_q

    @property
    def num_codebooks(self) -> int:
        """Codebooks."""
        return self.config.n_q

    @property
    def card(self) -> int:
        """Tokens of a codebook."""
        return self.config.card

    @property
    def special_token_id(self) -> int:
        """The token that stands for none."""
        return self.config.card

    def forward(
        self,
        sequence: Tensor,
        conditions: Sequence[ConditioningAttributes] = (),
        condition_tensors: ConditionTensors | None = None,
    ) -> Tensor:
        """Return the logits `[B, K, S, card]` after every step of a sequence `[B, K, S]`.

        Raises:
            ValueError: there are no conditions for a model that attends to some.
        """
        heard = self._heard(conditions, condition_tensors)
        x = self.embedded(sequence)
        if heard.prefix is not None:
            x = torch.cat((heard.prefix, x), dim=1)
        x = self.transformer(x, heard.source)
        return self.logits(x[:, -sequence.shape[-1] :])

    def embedded(self, tokens: Tensor) -> Tensor:
        """Return `[B, S, dim]` for tokens `[B, K, S]`: all codebooks of a step added up."""
        rows = [emb(codes) for emb, codes in zip(self.emb, tokens.unbind(1), strict=True)]
        return torch.stack(rows).sum(0)

    def logits(self, x: Tensor) -> Tensor:
        """Return `[B, K, S, card]` for what the transformer made of `[B, S, dim]`."""
        x = self.out_norm(x)
        return torch.stack([linear(x) for linear in self.linears], dim=1)

    @torch.no_grad()
    def compute_predictions(
        self,
        codes: Tensor,
        conditions: Sequence[ConditioningAttributes] = (),
        condition_tensors: ConditionTensors | None = None,
        *,
        keep_only_valid_steps: bool = True,
    ) -> LMOutput:
        """Return what is predicted for codes `[B, K, T]` by those before them in the pattern."""
        pattern = self.pattern_provider.get_pattern(codes.shape[-1])
        sequence, _, _ = pattern.build_pattern_sequence(
            codes, self.special_token_id, keep_only_valid_steps=keep_only_valid_steps
        )
        logits = self(sequence, conditions, condition_tensors).permute(0, 3, 1, 2)
        values, _, mask = pattern.revert_pattern_logits(
            logits, float("nan"), keep_only_valid_steps=keep_only_valid_steps
        )
        return LMOutput(values.permute(0, 2, 3, 1), mask.expand(len(codes), -1, -1))

    def naive(self, rows: Rows, steps: int) -> AbstractContextManager[Decoder]:
        """Open a decoder that computes what is new of a sequence, plainly."""
        del steps
        return plainly(self, rows)

    def fuse(
        self,
        *,
        precision: torch.dtype | None = None,
        is_sole: bool = False,
        halves: bool | None = None,
    ) -> None:
        """Decode faster from now on; to be called again when the weights have been moved.

        With a `precision` the products are computed in it, as the original does on a card. They
        are then held twice, unless the fused decoder is to be the sole one: then the transformer
        of this model is emptied. On a processor, `halves` says whether weights are arranged in
        half precision where that loses nothing, which takes some seconds and speeds up steps.
        """
        fused = FusedLM(self, precision=precision, is_sole=is_sole, halves=halves)
        self.decoding = fused.decoding
        if is_sole:
            self.transformer.to("meta")

    @torch.no_grad()
    def generate(  # noqa: PLR0913 - the original's public call
        self,
        prompt: Tensor | None = None,
        conditions: Sequence[ConditioningAttributes] = (),
        num_samples: int | None = None,
        max_gen_len: int = 256,
        *,
        use_sampling: bool = True,
        temp: float = 1.0,
        top_k: int = 250,
        top_p: float = 0.0,
        cfg_coef: float | None = None,
        two_step_cfg: bool | None = None,
        remove_prompts: bool = False,
        check: bool = False,
        callback: OnStep | None = None,
        condition_tensors: ConditionTensors | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Return codes `[B, K, T]` of `max_gen_len` timesteps, those of the prompt among them.

        As many samples are made as there are conditions, or prompts `[B, K, T]`, or `num_samples`.
        `callback` is called with (done, total) after every step and may raise to stop. `generator`
        draws; by default that of the process and device. In two steps the coefficient is always
        that of the model, as in the original.

        Raises:
            ValueError: the parts do not fit each other, or a choice cannot be.
            RuntimeError: a token is missing in the end, when asked to check.
        """
        choice = Choice(use_sampling=use_sampling, temp=temp, top_k=top_k, top_p=top_p)
        count = _samples(prompt, conditions, num_samples, condition_tensors)
        device = self.out_norm.weight.device
        start = 0 if prompt is None else prompt.shape[-1]
        codes = torch.full((count, self.n_q, max_gen_len), _UNKNOWN, device=device)
        if prompt is not None:
            self._check_prompt(prompt, max_gen_len)
            codes[..., :start] = prompt
        in_two = self.two_step_cfg if two_step_cfg is None else two_step_cfg
        plan = Plan.of(
            self._heard(conditions, condition_tensors),
            count,
            device,
            coefficient=self.cfg_coef if cfg_coef is None or in_two else cfg_coef,
            in_two=in_two,
        )
        pattern = self.pattern_provider.get_pattern(max_gen_len)
        sequence, _, _ = pattern.build_pattern_sequence(codes, self.special_token_id)
        first = pattern.get_first_step_with_timesteps(start) or 1
        self._fill(sequence, first, plan, choice, on_step=callback or _nothing, generator=generator)
        done, _, _ = pattern.revert_pattern_sequence(sequence, _UNKNOWN)
        if check and bool((done == _UNKNOWN).any()):
            raise RuntimeError("a token was not generated")
        return done[..., start if remove_prompts else 0 :]

    def _fill(
        self,
        sequence: Tensor,
        first: int,
        plan: Plan,
        choice: Choice,
        *,
        on_step: OnStep,
        generator: torch.Generator | None,
    ) -> None:
        """Replace what is unknown of `[B, K, S]` in place, from the first such step on."""
        steps = sequence.shape[-1]
        is_unknown = sequence == _UNKNOWN
        fresh = sequence[..., :first]
        with ExitStack() as stack:
            decoders = [stack.enter_context(self.decoding(part, steps)) for part in plan.parts]
            for step in range(first, steps):
                rows = [
                    decode(fresh.index_select(0, part.samples))
                    for decode, part in zip(decoders, plan.parts, strict=True)
                ]
                logits = plan.together(torch.cat(rows)).float()
                noise = torch.empty_like(logits) if choice.is_drawn else None
                if noise is not None:
                    noise.exponential_(generator=generator)
                chosen = choice.of(logits, noise)
                fresh = sequence[..., step : step + 1]
                fresh.copy_(torch.where(is_unknown[..., step : step + 1], chosen, fresh))
                if sequence.is_cuda and step % _STEPS_AHEAD == 0:
                    torch.cuda.current_stream(sequence.device).synchronize()
                on_step(1 + step - first, steps - first)

    def _heard(
        self,
        conditions: Sequence[ConditioningAttributes],
        tensors: ConditionTensors | None,
    ) -> Heard:
        nothing: ConditionTensors = {}
        if tensors is None and conditions:
            # both together: what is in front of a sequence is of one length
            both = self.condition_provider.conditions(
                [*conditions, *(each.nullified() for each in conditions)]
            )
            count = len(conditions)
            tensors = {name: (x[:count], mask[:count]) for name, (x, mask) in both.items()}
            nothing = {name: (x[count:], mask[count:]) for name, (x, mask) in both.items()}
        if not tensors and self.config.has_cross_attention:
            raise ValueError("a model with cross-attention needs conditions, be they empty")
        return Heard.of(tensors or {}, self.fuser, nothing=nothing)

    def _check_prompt(self, prompt: Tensor, max_gen_len: int) -> None:
        if prompt.dim() != 3 or prompt.shape[1] != self.n_q:
            raise ValueError(f"a prompt is [B, {self.n_q}, T], not {list(prompt.shape)}")
        if prompt.shape[-1] >= max_gen_len:
            raise ValueError(f"the prompt leaves nothing of {max_gen_len} timesteps to generate")
        if prompt.numel() and not 0 <= int(prompt.min()) <= int(prompt.max()) < self.card:
            raise ValueError(f"the prompt has tokens outside of 0 to {self.card - 1}")


def _samples(
    prompt: Tensor | None,
    conditions: Sequence[ConditioningAttributes],
    num_samples: int | None,
    tensors: ConditionTensors | None,
) -> int:
    """Return how many samples all that was given agrees on."""
    counts = {len(condition) for condition, _ in (tensors or {}).values()}
    counts |= {len(conditions)} if conditions else set()
    counts |= set() if prompt is None else {len(prompt)}
    counts |= set() if num_samples is None else {num_samples}
    if len(counts) != 1 or min(counts) < 1:
        raise ValueError("conditions, prompts and the number of samples must agree on how many")
    return counts.pop()


def _nothing(done: int, total: int) -> None:
    """Ignore progress."""
