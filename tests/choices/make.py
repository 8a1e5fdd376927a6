"""The files of this folder: networks with each of the reference's choices, computed by PyTorch in 64 bits.

    python tests/choices/make.py

writes, for every choice, the parameters (F32), an input [batch, 1, x, y] and a gradient of the
output (F32), and from them the output, the gradients of the input and of every parameter, and the
running statistics after one pass in training mode (F64). The module is that of
examples/load_weights.py. Needs numpy, torch and safetensors only.
"""

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1] / "examples"))
from load_weights import Choices, UNet  # noqa: E402

CHOICES = {
    "silu": ([8, 8], {"activation": "silu"}),
    "tanh": ([8, 8], {"activation": "tanh"}),
    "sigmoid": ([8, 8], {"activation": "sigmoid"}),
    "no_batch_norm": ([8, 8], {"batch_norm": False}),
    "no_batch_norm_silu": ([8, 8], {"batch_norm": False, "activation": "silu"}),
    "res_blocks": ([8, 8, 16], {"res_blocks": True}),
    "res_blocks_silu": ([8, 8, 16], {"res_blocks": True, "activation": "silu"}),
    "res_blocks_no_batch_norm": ([8, 8, 16], {"res_blocks": True, "batch_norm": False}),
}


def main():
    for seed, (name, (filters, choices)) in enumerate(CHOICES.items()):
        torch.manual_seed(seed)
        module = UNet(filters, Choices(**choices))
        for parameter in module.parameters():
            # The initial scales and shifts are 1 and 0: anything could be hidden there.
            if parameter.ndim == 1:
                torch.nn.init.uniform_(parameter, -1.0, 1.0)
        tensors = {f"param.{key}": value.detach().clone() for key, value in module.named_parameters()}
        tensors["input"], tensors["grad_output"] = torch.randn(2, 2, 1, 8, 16)
        module.double()
        x = tensors["input"].double().requires_grad_()
        output = module(x)
        output.backward(tensors["grad_output"].double())
        tensors |= {f"grad.{key}": value.grad for key, value in module.named_parameters()}
        tensors |= {f"after.{key}": value for key, value in module.named_buffers() if value.ndim == 1}
        tensors |= {"output": output.detach(), "grad_input": x.grad}
        about = json.dumps({"filters": filters, "padding": "circular", **choices})
        tensors = {key: value.contiguous() for key, value in tensors.items()}
        save_file(tensors, HERE / f"{name}.safetensors", metadata={"unheat": about})


if __name__ == "__main__":
    main()
