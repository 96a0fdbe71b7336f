"""Small made-up scenes in which neither modality suffices, written in the real layouts."""

from stepscope_systems.rgbt_detection.data.synthetic.domains import DOMAINS, Domain
from stepscope_systems.rgbt_detection.data.synthetic.layouts import Layout, synthesise

__all__ = ["DOMAINS", "Domain", "Layout", "synthesise"]
