"""DINOv2's training step read again in float64 on a dict of tensors, gradients by autograd. Imports nothing of kit.

One module-free function per piece; the optimiser is written out. `w` holds parameters by name, student and teacher apart.
"""

import math

import torch


def layer_norm(x, weight, bias):
    mean = x.mean(-1, keepdim=True)
    variance = ((x - mean) ** 2).mean(-1, keepdim=True)
    return (x - mean) / (variance + 1e-6).sqrt() * weight + bias


def backbone(x, w, *, patch, heads, mask=None, registers=0):
    """Return class and patch tokens; the position embedding must fit the view."""
    B, C, H, W = x.shape
    D = w["cls_token"].shape[-1]
    cells = x.reshape(B, C, H // patch, patch, W // patch, patch).permute(0, 2, 4, 1, 3, 5).reshape(B, -1, C * patch * patch)
    tokens = cells @ w["patch_embed.proj.weight"].reshape(D, -1).T + w["patch_embed.proj.bias"]
    if mask is not None:
        m = mask[..., None].to(tokens)
        tokens = tokens * (1 - m) + w["mask_token"] * m
    tokens = torch.cat((w["cls_token"].repeat(B, 1, 1), tokens), 1) + w["pos_embed"]
    if registers:
        tokens = torch.cat((tokens[:, :1], w["register_tokens"].repeat(B, 1, 1), tokens[:, 1:]), 1)
    depth = len({name.split(".")[1] for name in w if name.startswith("blocks.")})
    for i in range(depth):
        p = {name.split(".", 2)[2]: value for name, value in w.items() if name.startswith(f"blocks.{i}.")}
        y = layer_norm(tokens, p["norm1.weight"], p["norm1.bias"])
        qkv = (y @ p["attn.qkv.weight"].T + p["attn.qkv.bias"]).split(D, -1)
        out = []
        for h in range(heads):
            q, k, v = (part[..., h * D // heads : (h + 1) * D // heads] for part in qkv)
            scores = q @ k.transpose(1, 2) / math.sqrt(D // heads)
            e = (scores - scores.amax(-1, keepdim=True)).exp()
            out.append(e / e.sum(-1, keepdim=True) @ v)
        y = torch.cat(out, -1) @ p["attn.proj.weight"].T + p["attn.proj.bias"]
        tokens = tokens + y * p["ls1.gamma"]
        y = layer_norm(tokens, p["norm2.weight"], p["norm2.bias"])
        if "mlp.w12.weight" in p:
            gate, value = (y @ p["mlp.w12.weight"].T + p["mlp.w12.bias"]).tensor_split(2, -1)
            y = (gate * torch.sigmoid(gate) * value) @ p["mlp.w3.weight"].T + p["mlp.w3.bias"]
        else:
            y = y @ p["mlp.fc1.weight"].T + p["mlp.fc1.bias"]
            y = (0.5 * y * (1 + torch.erf(y / math.sqrt(2)))) @ p["mlp.fc2.weight"].T + p["mlp.fc2.bias"]
        tokens = tokens + y * p["ls2.gamma"]
    tokens = layer_norm(tokens, w["norm.weight"], w["norm.bias"])
    return tokens[:, 0], tokens[:, 1 + registers :]


def logits(x, w):
    for i in (0, 2, 4):
        x = x @ w[f"mlp.{i}.weight"].T + w[f"mlp.{i}.bias"]
        if i < 4:
            x = 0.5 * x * (1 + torch.erf(x / math.sqrt(2)))
    x = x / (x**2).sum(-1, keepdim=True).sqrt()
    v = w["last_layer.weight_v"]
    return x @ (w["last_layer.weight_g"] * v / (v**2).sum(1, keepdim=True).sqrt()).T


def sinkhorn(rows, temperature, steps=3):
    Q = (rows / temperature).exp()
    R, K = Q.shape
    for _ in range(steps):
        Q = Q / Q.sum(0, keepdim=True) / K
        Q = Q / Q.sum(1, keepdim=True) / R
    return Q * R


def cross_entropy(rows, targets, temperature=0.1):
    return -(targets * torch.log_softmax(rows / temperature, -1)).sum(-1)


def koleo(x):
    x = x / (x**2).sum(1, keepdim=True).sqrt().clamp(min=1e-8)
    with torch.no_grad():
        similarity = x @ x.T - 3 * torch.eye(len(x), dtype=x.dtype)
        nearest = similarity.argmax(1)
    return -(((x - x[nearest] + 1e-8) ** 2).sum(1).sqrt() + 1e-8).log().mean()


class Step:
    """Whole training steps of DINOv2's loss on two global views and L local crops, the head shared, one process."""

    def __init__(self, weights, *, patch, heads, clip, betas, koleo_weight, targets, layer_decay, patch_factor):
        self.patch, self.heads, self.clip, self.betas, self.targets = patch, heads, clip, betas, targets
        self.koleo_weight, self.layer_decay, self.patch_factor = koleo_weight, layer_decay, patch_factor
        self.student = {k: v.clone().requires_grad_() for k, v in weights.items()}
        self.teacher = {k: v.clone() for k, v in weights.items()}
        self.first = {k: torch.zeros_like(v) for k, v in weights.items()}
        self.second = {k: torch.zeros_like(v) for k, v in weights.items()}
        self.count = 0
        self.centre_cls = self.centre_patch = 0.0

    def part(self, w, prefix):
        return {k[len(prefix) :]: v for k, v in w.items() if k.startswith(prefix)}

    def run(self, w, x, mask=None):
        return backbone(x, self.part(w, "backbone."), patch=self.patch, heads=self.heads, mask=mask)

    def teacher_targets(self, rows, temperature, which):
        if self.targets == "sinkhorn":
            return sinkhorn(rows, temperature)
        centre = getattr(self, which)
        setattr(self, which, centre * 0.9 + rows.mean(0) * 0.1)
        return torch.softmax((rows - centre) / temperature, -1)

    def loss(self, views, masks, locals_, temperature):
        x = torch.cat(views)
        n_local = len(locals_)
        with torch.no_grad():
            head = self.part(self.teacher, "dino_head.")
            cls, patch = self.run(self.teacher, x)
            cls_targets = self.teacher_targets(logits(cls, head), temperature, "centre_cls").chunk(2)
            patch_targets = self.teacher_targets(logits(patch[masks], head), temperature, "centre_patch")
        head = self.part(self.student, "dino_head.")
        cls, patch = self.run(self.student, x, masks)
        scale = 1 / (2 + max(2 * n_local, 1))
        first, second = logits(cls, head).chunk(2)
        dino = cross_entropy(torch.cat((first, second)), torch.cat(cls_targets[::-1])).mean() * 2 * scale
        for crop in locals_:
            small = logits(self.run(self.student, crop)[0], head)
            dino = dino + sum(cross_entropy(small, target).mean() for target in cls_targets) * scale
        rows = cross_entropy(logits(patch[masks], head), patch_targets)
        share = (1 / masks.sum(1).clamp(min=1).double())[:, None].expand_as(masks)[masks]
        ibot = (rows * share).sum() / len(masks)
        spread = sum(koleo(chunk) for chunk in cls.chunk(2))
        return dino, ibot, spread, dino + ibot + self.koleo_weight * spread

    def step(self, views, masks, locals_, *, temperature, lr, last_lr, weight_decay, momentum):
        parts = self.loss(views, masks, locals_, temperature)
        names = list(self.student)
        grads = dict(zip(names, torch.autograd.grad(parts[-1], self.student.values(), allow_unused=True), strict=True))
        grads = {k: torch.zeros_like(self.student[k]) if g is None else g for k, g in grads.items()}
        norms = {}
        for module in ("backbone.", "dino_head."):
            inside = [k for k in names if k.startswith(module)]
            norms[module] = math.sqrt(sum(float((grads[k] ** 2).sum()) for k in inside))
            for k in inside:
                grads[k] = grads[k] * min(1.0, self.clip / (norms[module] + 1e-6))
        self.count += 1
        depth = len({k.split(".")[2] for k in names if k.startswith("backbone.blocks.")})
        with torch.no_grad():
            for k in names:
                self.update(k, grads[k], depth, last_lr if "last_layer" in k else lr, weight_decay)
                self.teacher[k] = self.teacher[k] * momentum + self.student[k].detach() * (1 - momentum)
        return [float(part.detach()) for part in parts], norms, grads

    def update(self, k, grad, depth, lr, weight_decay):
        """AdamW, with the rate and decay that DINOv2 gives this parameter."""
        if k.startswith("backbone."):
            name = k[len("backbone.") :]
            layer = int(name.split(".")[1]) + 1 if name.startswith("blocks.") else depth + 1 if name.startswith("norm") else 0
            lr = lr * self.layer_decay ** (depth + 1 - layer) * (self.patch_factor if name.startswith("patch_embed") else 1)
        if k.endswith(".bias") or "norm" in k or "gamma" in k:
            weight_decay = 0.0
        b1, b2 = self.betas
        self.first[k] = b1 * self.first[k] + (1 - b1) * grad
        self.second[k] = b2 * self.second[k] + (1 - b2) * grad**2
        m, v = self.first[k] / (1 - b1**self.count), self.second[k] / (1 - b2**self.count)
        self.student[k].mul_(1 - lr * weight_decay).sub_(lr * m / (v.sqrt() + 1e-8))
