"""DrNAS keeps the rules of every strategy."""

from lnas.testing import StrategySuite


class TestDrNas(StrategySuite):
    part = "lnas_drnas.strategy:DrNas"
    plugin = "lnas_drnas"
