from lnas.testing import StrategySuite


class TestPcDarts(StrategySuite):
    part = "lnas_pcdarts.strategy:PcDarts"
    plugin = "lnas_pcdarts"
