"""Muon: momentum whose update is made orthogonal, for the matrices of the blocks.

After K. Jordan et al., "Muon: An optimizer for hidden layers in neural networks" (2024): Nesterov momentum, then five
Newton-Schulz steps with the quintic coefficients given there, in bfloat16. A stack of experts [E, out, in] is a batch
of matrices; one that fuses gate and up projections counts as two.
"""

import torch

A, B, C = 3.4445, -4.7750, 2.0315


def orthogonal(matrices, steps=5):
    """The nearest semi-orthogonal matrices, approximately: singular values between about 0.7 and 1.2."""
    matrices = matrices.bfloat16()
    wide = matrices.shape[-2] <= matrices.shape[-1]
    x = matrices if wide else matrices.mT
    x = x / (x.flatten(-2).norm(dim=-1)[..., None, None] + 1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = A * x + (B * gram + C * gram @ gram) @ x
    return (x if wide else x.mT).float()


class Muon(torch.optim.Optimizer):
    def __init__(self, parameters, lr=0.02, momentum=0.95, weight_decay=0.0):
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @staticmethod
    def matrix_shape(parameter):
        """[rows, columns] of the matrices that a parameter consists of: a square stack of experts is gate over up."""
        rows, columns = parameter.shape[-2:]
        return (rows // 2, columns) if parameter.ndim == 3 and rows == columns else (rows, columns)

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            # Matrices of one shape are made orthogonal in one batch.
            by_shape = {}
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if "momentum" not in state:
                    state["momentum"] = torch.zeros_like(parameter)
                state["momentum"].lerp_(parameter.grad, 1 - group["momentum"])
                update = parameter.grad.lerp(state["momentum"], group["momentum"])
                by_shape.setdefault(self.matrix_shape(parameter), []).append((parameter, update))
            for shape, pairs in by_shape.items():
                batch = torch.cat([update.reshape(-1, *shape) for _, update in pairs])
                updates = orthogonal(batch).split([parameter.numel() // (shape[0] * shape[1]) for parameter, _ in pairs])
                scale = group["lr"] * max(1.0, shape[0] / shape[1]) ** 0.5
                for (parameter, _), update in zip(pairs, updates):
                    parameter.mul_(1 - group["lr"] * group["weight_decay"])
                    parameter.add_(update.view_as(parameter), alpha=-scale)
