"""What every search space keeps."""

from lnas.testing.space_choices import SpaceChoices
from lnas.testing.space_forward import SpaceForward
from lnas.testing.space_paths import SpacePaths


class SpaceSuite(SpaceChoices, SpacePaths, SpaceForward):
    """The rules of search spaces.

        class TestCells(SpaceSuite):
            part = "my_package.cells:Cells"
            plugin = "my_package"
            options = {"channels": 2, "layers": 3}

    Give options that make the space tiny: it is made some hundred times.  `task` and `inputs` may be overridden, and `given`
    where the space is made of something else than a task.
    """
