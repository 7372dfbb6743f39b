from lnas.testing import ObserverSuite


class TestTensorboard(ObserverSuite):
    part = "lnas_tensorboard.observer:Tensorboard"
    plugin = "lnas_tensorboard"
