"""Whether an error says that something is too large for this machine, or for torch to count."""

_WORDS = (
    *("can't allocate memory", "Storage size calculation overflowed", "Stride calculation overflowed"),
    *("integer multiplication overflow", "Overflow when unpacking long", "int too large to convert"),
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a network or a batch was too large: Python's error, that of a GPU, or what torch says on the CPU."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError | TypeError | OverflowError) and any(words in str(error) for words in _WORDS)
