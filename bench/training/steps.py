"""PyTorch's training steps for bench/training.mjs, which says on stdin what to do, a line for each:

  open NETWORK FORM   makes the network in both layouts of images; answers `ready`
  step LAYOUT         a step of training; answers with its milliseconds, see clock.mjs

The argument is the number of threads. Networks are those of the package, as the public ACNet code builds them.
"""
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F

BATCH = 128
LAYOUTS = {'channels_last': torch.channels_last, 'default': torch.contiguous_format}


class Block(nn.Module):
    """A square, a vertical and a horizontal convolution, each with its BatchNorm, added up."""

    def __init__(self, inputs, outputs, size, stride, padding):
        super().__init__()
        self.crop = max(0, size // 2 - padding)
        beside = max(0, padding - size // 2)

        def branch(kernel, pads):
            convolution = nn.Conv2d(inputs, outputs, kernel, stride, pads, bias=False)
            return nn.Sequential(convolution, nn.BatchNorm2d(outputs))

        self.square = branch((size, size), (padding, padding))
        self.ver = branch((size, 1), (padding, beside))
        self.hor = branch((1, size), (beside, padding))

    def forward(self, x):
        c = self.crop
        ver, hor = (x[:, :, :, c:-c], x[:, :, c:-c, :]) if c > 0 else (x, x)
        return self.square(x) + self.ver(ver) + self.hor(hor)


def unit(form, inputs, outputs, size, stride=1, padding=0):
    if form == 'train' and size > 1:
        return Block(inputs, outputs, size, stride, padding)
    convolution = nn.Conv2d(inputs, outputs, size, stride, padding, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs))


def lenet5bn(form):
    return nn.Sequential(
        unit(form, 1, 20, 5), nn.ReLU(), nn.MaxPool2d(2),
        unit(form, 20, 50, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(800, 500), nn.ReLU(), nn.Linear(500, 10))


def cifar_quick(form):
    return nn.Sequential(
        unit(form, 3, 32, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
        unit(form, 32, 32, 5, padding=2), nn.ReLU(), nn.AvgPool2d(3, 2),
        unit(form, 32, 64, 5, padding=2), nn.ReLU(), nn.AvgPool2d(3, 2),
        nn.Flatten(), nn.Linear(576, 64), nn.ReLU(), nn.Linear(64, 10))


class Residual(nn.Module):
    def __init__(self, form, inputs, outputs, stride):
        super().__init__()
        self.first = unit(form, inputs, outputs, 3, stride, 1)
        self.second = unit(form, outputs, outputs, 3, 1, 1)
        self.shortcut = nn.Identity() if stride == 1 else unit(form, inputs, outputs, 1, stride)

    def forward(self, x):
        return F.relu(self.shortcut(x) + self.second(F.relu(self.first(x))))


def resnet20(form):
    layers = [unit(form, 3, 16, 3, 1, 1), nn.ReLU()]
    width = 16
    for outputs in (16, 32, 64):
        for _ in range(3):
            layers.append(Residual(form, width, outputs, 1 if width == outputs else 2))
            width = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


NETWORKS = {
    'LeNet-5-BN': (lenet5bn, (1, 28, 28)),
    'Cifar-quick': (cifar_quick, (3, 32, 32)),
    'ResNet-20': (resnet20, (3, 32, 32)),
}


def steps_of(network, form):
    """For each layout a function that makes a step."""
    build, dims = NETWORKS[network]
    generator = torch.Generator().manual_seed(1)
    images = torch.randn((BATCH, *dims), generator=generator)
    labels = torch.randint(0, 10, (BATCH,), generator=generator)
    return {name: step_in(layout, build(form), images, labels) for name, layout in LAYOUTS.items()}


def step_in(layout, model, images, labels):
    model = model.train().to(memory_format=layout)
    images = images.contiguous(memory_format=layout)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss = F.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def main():
    threads = int(sys.argv[1])
    torch.set_num_threads(threads)
    now = time.process_time if threads == 1 else time.perf_counter
    steps = {}
    print(torch.__version__, flush=True)
    for line in sys.stdin:
        command, *words = line.split()
        if command == 'open':
            steps = steps_of(*words)
            print('ready', flush=True)
        else:
            start = now()
            steps[words[0]]()
            print((now() - start) * 1e3, flush=True)


main()
