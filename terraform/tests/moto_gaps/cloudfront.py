"""CloudFront: a distribution's parts lose what moto doesn't know; give them back as they came."""

import copy
from typing import Any

from moto.cloudfront.models import DistributionConfig

_PARTS = ("CacheBehaviors", "DefaultCacheBehavior", "Origins", "Restrictions", "ViewerCertificate")


def fill() -> None:
    init_of_moto = DistributionConfig.__init__

    def init(distribution: DistributionConfig, config: dict[str, Any]) -> None:
        told = copy.deepcopy(config)
        init_of_moto(distribution, config)
        vars(distribution).update({part: told[part] for part in _PARTS if part in told})

    DistributionConfig.__init__ = init
