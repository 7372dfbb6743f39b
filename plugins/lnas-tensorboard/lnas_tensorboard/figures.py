"""What TensorBoard is shown of a run, as functions of its events."""

from collections.abc import Mapping

import lnas


def scalars(event: lnas.EpochDone | lnas.Pruned) -> dict[str, float]:
    """The points of an event by their tags, which begin with the stage; a metric that is not finite has none."""
    stage = event.progress.stage
    if isinstance(event, lnas.Pruned):
        return {f"{stage}/round/sparsity asked": event.asked, f"{stage}/round/sparsity": event.attained}
    figures = {
        **event.diagnosis,
        **event.metrics,
        "validation_accuracy": event.validation_accuracy,
        "sparsity": event.sparsity,
        "live_paths": event.live_paths,
    }
    return {f"{stage}/{name}": float(value) for name, value in figures.items() if value is not None}


def configuration(event: lnas.RunStarted) -> dict[str, str]:
    """The configuration without the observers, whose options may hold what is nobody else's business."""
    return {"recipe": event.recipe} | {key: value for key, value in event.config.items() if key != "observe"}


def in_markdown(values: Mapping[str, str]) -> str:
    """Lines "key = value" as a block of code: no character of a value is read as markup."""
    return "\n".join(f"    {key} = {value}" for key, value in values.items())


def hyperparameters(values: Mapping[str, str]) -> dict[str, float | str]:
    """The values as TensorBoard sorts and filters them: numbers as numbers."""
    return {key: _number(value) for key, value in values.items()}


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text
