"""A memory that learns while it reads: Titans (2025), a text read twice, and a page that shows what surprised it.

The language model is trained for a moment on the documentation of Python; then it reads one of its pages, and reads the
page again. Nothing of the model changes any more but its memory, which writes what surprises it. The result: the second
reading surprises the memory less than the first, by a twentieth at least; a memory that is emptied at each segment is
as surprised as before.
"""

from pydoc_data.topics import topics

import torch

from neurosim.models.layers import encode, segments, train
from neurosim.models.titans import BrainMimeticLM, surprise_page


def read_twice(model: BrainMimeticLM, page: str) -> tuple[float, float, list[float]]:
    """Return the mean surprise of the first and of the second reading, and the surprise of every byte of both."""
    ids = encode(page)
    with torch.no_grad():
        surprise = model(torch.cat([ids, ids])[None]).surprise[0].mean(0)
    return surprise[: len(ids)].mean().item(), surprise[len(ids) :].mean().item(), surprise.tolist()


def main(steps: int = 60, length: int = 320, path: str | None = "surprise.html") -> dict[str, float]:
    """Train, read, and write the page."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # small tensors
    torch.manual_seed(0)
    text = encode("\n".join(text for name, text in sorted(topics.items()) if name != "while"))
    page = topics["while"].encode("ascii", "replace").decode()[:length]
    model = BrainMimeticLM(64, 1, 4, segment=32)
    losses = train(model, segments(text, 128, 8, torch.Generator().manual_seed(0)), steps)
    first, second, surprise = read_twice(model, page)
    emptied = BrainMimeticLM(64, 1, 4, segment=32, reset=True)
    emptied.load_state_dict(model.state_dict())
    first_emptied, second_emptied, _ = read_twice(emptied, page)
    torch.set_num_threads(threads)
    if path is not None:
        with open(path, "w", encoding="utf-8") as file:
            file.write(surprise_page(page + page, surprise, "A page read twice"))
    return {
        "bits_at_first": losses[0], "bits_at_last": losses[-1], "first": first, "second": second,
        "first_emptied": first_emptied, "second_emptied": second_emptied,
    }  # fmt: skip


if __name__ == "__main__":
    for name, value in main().items():
        print(f"{name:16} {value:.3f}")
