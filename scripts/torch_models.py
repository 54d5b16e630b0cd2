"""The nets of `lth_jax.models` in PyTorch, and their training loops."""

import contextlib
import itertools
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn

_CONV_STAGES = {
    "conv2": ((64, 64),),
    "conv4": ((64, 64), (128, 128)),
    "conv6": ((64, 64), (128, 128), (256, 256)),
}
_VGG_STAGES = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}


def _dense(*sizes: int) -> list[nn.Module]:
    """Dense layers with ReLU between them."""
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.ReLU(inplace=True)]
    return layers[:-1]


def _normed(inputs: int, outputs: int, size: int = 3, stride: int = 1) -> nn.Sequential:
    """A convolution without bias, and batch normalisation."""
    conv = nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs))


def _convnet(stages: tuple[tuple[int, ...], ...]) -> nn.Module:
    layers: list[nn.Module] = []
    inputs, pixels = 3, 32
    for stage in stages:
        for outputs in stage:
            layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU(inplace=True)]
            inputs = outputs
        layers.append(nn.MaxPool2d(2))
        pixels //= 2
    dense = _dense(pixels * pixels * inputs, 256, 256, 10)
    return nn.Sequential(*layers, nn.Flatten(), *dense)


def _vgg(stages: tuple[int, ...]) -> nn.Module:
    layers: list[nn.Module] = []
    inputs = 3
    for stage, outputs in zip(stages, (64, 128, 256, 512, 512), strict=True):
        if layers:
            layers.append(nn.MaxPool2d(2))
        for _ in range(stage):
            layers += [_normed(inputs, outputs), nn.ReLU(inplace=True)]
            inputs = outputs
    return nn.Sequential(
        *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, 10)
    )


class _Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.first = _normed(inputs, outputs, stride=stride)
        self.second = _normed(outputs, outputs)
        self.shortcut = (
            nn.Identity() if stride == 1 else _normed(inputs, outputs, 1, stride)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.second(F.relu(self.first(x), inplace=True))
        return F.relu(y + self.shortcut(x), inplace=True)


def _resnet20() -> nn.Module:
    layers: list[nn.Module] = [_normed(3, 16), nn.ReLU(inplace=True)]
    inputs = 16
    for outputs in (16, 32, 64):
        for _ in range(3):
            layers.append(_Block(inputs, outputs, 1 if outputs == inputs else 2))
            inputs = outputs
    return nn.Sequential(
        *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, 10)
    )


def build(name: str) -> nn.Module:
    """Returns a net with the layers of that name's in `lth_jax.models.MODELS`."""
    if name == "lenet":
        return nn.Sequential(nn.Flatten(), *_dense(784, 300, 100, 10))
    if name == "resnet20":
        return _resnet20()
    return (
        _convnet(_CONV_STAGES[name]) if name in _CONV_STAGES else _vgg(_VGG_STAGES[name])
    )


def training_loop(
    name: str,
    batch_size: int,
    steps: int,
    *,
    optimizer: str,
    memory_format: torch.memory_format,
    bfloat16: bool,
    on_gpu: bool,
    threads: int | None,
    how: str = "eager",
) -> Callable[[], None]:
    """Returns a function that trains `steps` steps on one batch, already on the device.

    `how` is "eager". On a GPU it can also be "graph", which replays one step as a CUDA
    graph, or "compiled", which also compiles the net by `torch.compile`.
    """
    if on_gpu:  # as XLA, which may use TF32 and tunes its convolutions
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.benchmark = True
    device = torch.device("cuda" if on_gpu else "cpu")
    net = build(name).to(device, memory_format=memory_format)
    shape = (1, 28, 28) if name == "lenet" else (3, 32, 32)
    inputs = torch.randn(batch_size, *shape, device=device)
    inputs = inputs.to(memory_format=memory_format)
    labels = torch.randint(10, (batch_size,), device=device)
    params, is_captured = list(net.parameters()), how != "eager"
    opt: torch.optim.Optimizer
    if optimizer == "adam":
        opt = torch.optim.Adam(params, 2e-4, fused=True, capturable=is_captured)
    else:
        opt = torch.optim.SGD(params, 0.01, momentum=0.9, weight_decay=1e-4, fused=True)
    if how == "compiled":
        net = torch.compile(net)

    def step() -> None:
        opt.zero_grad()
        with (
            torch.autocast(device.type, torch.bfloat16, cache_enabled=not is_captured)
            if bfloat16
            else contextlib.nullcontext()
        ):
            loss = F.cross_entropy(net(inputs), labels)
        loss.backward()
        opt.step()

    if is_captured:
        step = _captured(step)

    def train() -> None:
        if threads:
            torch.set_num_threads(threads)
        for _ in range(steps):
            step()
        if on_gpu:
            torch.cuda.synchronize()

    return train


def _captured(step: Callable[[], None]) -> Callable[[], None]:
    """Captures a step as a CUDA graph, after a few runs that tune and compile it."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(5):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    # The graph reads memory that the step's own tensors hold.
    return lambda _step=step: graph.replay()  # type: ignore[misc]
