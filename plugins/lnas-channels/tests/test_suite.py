from lnas.testing import TargetSuite


class TestChannels(TargetSuite):
    part = "lnas_channels.target:Channels"
    plugin = "lnas_channels"


class TestChannelsAllTogether(TargetSuite):
    part = "lnas_channels.target:Channels"
    plugin = "lnas_channels"
    options = {"scope": "global", "floor": 2, "coupled_rate": 0.5}
